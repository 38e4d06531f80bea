"""Pure helpers on bytes: compression, lenient JSON, times, forms."""
