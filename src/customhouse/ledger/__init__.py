"""The books: double-entry accounts of every event, the trail of each, and the words that explain them."""
