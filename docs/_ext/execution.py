"""How notebooks are executed: what ``%%bash`` prints comes whole, and without progress."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

__all__ = ["notebook_settings"]

_MAGIC = '''
import subprocess
import sys
from IPython import get_ipython


def bash(line, cell):
    """Lines of a shell; their errors end the notebook."""
    done = subprocess.run(["bash", "-ec", cell], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    print(done.stdout.rstrip())


get_ipython().register_magic_function(bash, "cell", "bash")
'''


def notebook_settings() -> str:
    """A folder for ``IPYTHONDIR``; in place of IPython's own magic, whose output comes in pieces."""
    folder = Path(mkdtemp(prefix="caloforge-ipython-"))
    start = folder / "profile_default" / "startup"
    start.mkdir(parents=True)
    (start / "00-bash.py").write_text(_MAGIC, encoding="utf-8")
    return str(folder)
