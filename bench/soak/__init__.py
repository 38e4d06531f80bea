"""Half an hour, or a night, of steady load on a whole house: what must stay flat stays flat, and nothing is lost."""
