"""The broker's folder on disk: configuration, access list, password hashes, and each user's password for its owner.

::

    DIR/mosquitto.conf  acl  passwords         for the broker
    DIR/collector.password  tail.password      for the collector and for `tail`, mode 0600
    DIR/sites/<site>.password                  for enrolment, mode 0600; may be taken away once the site has it

A password that exists is kept. Whoever has only its hash left (the file was taken away) stays valid.
"""

import os
import pwd
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from sitekeeper_collector.broker.mosquitto import TAIL, BrokerPlan, access_list, configuration
from sitekeeper_collector.broker.passwords import fits, new_password, parse_file, password_hash, render_file
from sitekeeper_protocol.topics import check_id

_PRIVATE = 0o600
_READABLE = 0o644


class BrokerFolderError(ValueError):
    """The folder can't be written or read as asked; the text says what to do."""


class Written(NamedTuple):
    """What one run of ``write`` changed."""

    files: tuple[Path, ...]
    """Written, because new or different."""
    kept: tuple[Path, ...]
    """Right already."""
    new_users: tuple[str, ...]
    """Users that got a password now."""
    strangers: tuple[str, ...]
    """Sites that have a password and are not in the list given; they keep it unless pruned."""


def collector_password_file(folder: Path) -> Path:
    """Where the collector's password is."""
    return folder / "collector.password"


def tail_password_file(folder: Path) -> Path:
    """Where the password of ``tail`` is."""
    return folder / "tail.password"


def site_password_file(folder: Path, site: str) -> Path:
    """Where a site's password is. Raises ``ProtocolError`` for what can't be a site id."""
    return folder / "sites" / f"{check_id(site)}.password"


def read_password(file: Path) -> str | None:
    """The password in ``file``, or ``None`` if there is no such file. Raises ``BrokerFolderError`` for one that is unusable."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise BrokerFolderError(f"{file}: the password can't be read: {err}") from err
    if not text or any(ord(c) < 32 for c in text):
        raise BrokerFolderError(f"{file}: the file must hold one line with a password; remove it to have a new one made")
    return text


def write(plan: BrokerPlan, sites: Iterable[str], *, prune: bool = False) -> Written:
    """Bring the folder up to date for ``sites``. Running it again changes nothing that is right already."""
    wanted = {plan.collector: collector_password_file(plan.folder), TAIL: tail_password_file(plan.folder)}
    for site in sites:
        if site in (plan.collector, TAIL):
            raise BrokerFolderError(f"a site can't be named {site!r}: that is a user of the collector's own")
        wanted[site] = site_password_file(plan.folder, site)
    try:
        return _write(plan, wanted, prune)
    except OSError as err:
        raise BrokerFolderError(f"{plan.folder}: can't be written: {err}") from err


def _write(plan: BrokerPlan, wanted: dict[str, Path], prune: bool) -> Written:
    plan.folder.mkdir(parents=True, exist_ok=True)
    (plan.folder / "sites").mkdir(mode=0o700, exist_ok=True)
    old = parse_file(plan.password_file.read_text(encoding="utf-8")) if plan.password_file.exists() else {}
    strangers = tuple(sorted(set(old) - set(wanted)))
    hashes = {} if prune else {name: old[name] for name in strangers}
    new_users = []
    for user, file in wanted.items():
        stored, fresh = _credential(file, old.get(user))
        hashes[user] = stored
        if fresh:
            new_users.append(user)
    contents = {
        plan.folder / "mosquitto.conf": (configuration(plan), _READABLE),
        plan.acl_file: (access_list(plan.collector), _PRIVATE),
        plan.password_file: (render_file(hashes), _PRIVATE),
    }
    changed = {file: _put(file, text, mode) for file, (text, mode) in contents.items()}
    for file in (plan.acl_file, plan.password_file):
        _hand_to_mosquitto(file)
    return Written(
        files=tuple(file for file, was in changed.items() if was),
        kept=tuple(file for file, was in changed.items() if not was),
        new_users=tuple(new_users),
        strangers=strangers,
    )


def _credential(file: Path, stored: str | None) -> tuple[str, bool]:
    """The hash that belongs to ``file``, and whether the password is new."""
    password = read_password(file)
    if password is not None:
        # The file is what its owner was given, so it counts where the two differ.
        return (stored if stored is not None and fits(password, stored) else password_hash(password)), False
    if stored is not None:
        return stored, False
    password = new_password()
    _put(file, password + "\n", _PRIVATE)
    return password_hash(password), True


def _put(file: Path, text: str, mode: int) -> bool:
    """Write ``file`` as a whole or not at all; whether it had to be."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        file.chmod(mode)
        return False
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.chmod(mode)  # whatever the umask left of it
    part.replace(file)
    return True


def _hand_to_mosquitto(file: Path, lookup: Callable[[str], pwd.struct_passwd] = pwd.getpwnam) -> None:
    """Make ``file`` the broker's own: started as root it becomes the user ``mosquitto``, and newer versions insist on it."""
    if os.geteuid() != 0:
        return
    try:
        owner = lookup("mosquitto")
    except KeyError:
        return
    os.chown(file, owner.pw_uid, owner.pw_gid)
