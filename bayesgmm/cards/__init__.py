"""Model cards: complete analyses as TOML files."""
