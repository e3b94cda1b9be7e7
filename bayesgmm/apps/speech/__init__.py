"""Words and sounds in recordings."""
