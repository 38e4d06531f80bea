"""One file per wire protocol. Pure: bytes in, envelopes and replies out."""
