"""The targets that come with the tool, and the script that captures another one."""
