"""`manage.py mount_top` where rich is not installed.

Holds `management/commands/mount_top.py` and `management/figures.py`.
"""

from __future__ import annotations

import sys

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.once


def test_without_rich_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with a sentence that names the extra, before any server is asked."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "djfast_mount.dashboard.terminal", raising=False)
    with pytest.raises(CommandError, match=r'Install it: pip install "djfast-mount\[rich\]"'):
        call_command("mount_top", once=True, url="http://127.0.0.1:9")
