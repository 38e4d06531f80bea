"""HTTP/1.1 on llhttp and nothing more: requests in, replies out, every bound kept. It knows a host, not the door."""
