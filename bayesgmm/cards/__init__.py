"""Model cards: worked analyses as files."""
