"""The errors of djfast_mount: one tree.

MountError
├── ConfigurationError      the call of mount(), a setting or an installed app is wrong: raised at start-up
└── PoolTimeout             no thread came free in time: 503 with Retry-After (see djfast_mount.threads)
"""

__all__ = ["ConfigurationError", "MountError", "PoolTimeout"]


class MountError(Exception):
    """The base of every error that djfast_mount raises itself."""


class ConfigurationError(MountError):
    """The arguments of `mount()`, or what they name, are wrong. Raised at start-up, never during a request."""


class PoolTimeout(MountError):
    """No thread of the pool came free within `wait_timeout` seconds."""
