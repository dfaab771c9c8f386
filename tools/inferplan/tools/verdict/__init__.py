"""All five answers as one."""
