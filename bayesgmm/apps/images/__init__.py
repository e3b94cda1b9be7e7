"""Pictures in regions."""
