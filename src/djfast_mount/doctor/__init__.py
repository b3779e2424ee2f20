"""What `manage.py mount_doctor` looks at. Each probe yields Django's check messages: what was met, and the remedy.

E1.. are errors, W1.. warnings, I1.. notes; those below 100 are the system checks of djfast_mount.checks.
"""
