"""The tracking plan: what each event must look like, who owns it, and the compiled judge of it."""
