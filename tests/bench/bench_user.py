"""For the comparisons: programs run as the user that owns the cluster."""

import os
import pwd


def become(user):
    """In a child that is root's, before it runs its program."""
    if os.getuid() == 0:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
