"""History from files, through the real door: read row by row, shaped, checked, sent, and continued where it stopped."""
