"""The tables, in words that SQLite and PostgreSQL both understand.

Times are Unix time in ms by the collector's clock (``*_ms``) unless the column says otherwise. Runs, boots and epochs are
plain integers below 2^63. A migration in ``migrations/versions`` belongs to every change made here; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

# Named constraints: a later migration can only change what it can name.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single facts about the store: ``epoch``."""

sites = Table(
    "sites",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("county", Text, nullable=False, default=""),
    Column("township", Text, nullable=False, default=""),
    Column("access_node", Text, nullable=False, default=""),
    Column("feeder", Text, nullable=False, default=""),
    Column("line_number", Text, nullable=False, default=""),
    Column("account", Text, nullable=False, default=""),
    Column("loid", Text, nullable=False, default="", server_default=""),
    Column("line_phone", Text, nullable=False, default="", server_default=""),
    Column("carrier", Text, nullable=False, default="", server_default=""),
    Column("contacts", Text, nullable=False, default=""),
    Column("profile", Text, nullable=False, default="pc"),
    Column("hours", Text, nullable=False, default=""),
    Column("area", Text, nullable=False, default=""),
    Column("added_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index(None, "access_node"),
    Index(None, "feeder"),
    Index(None, "township"),
)
"""The register: only what comes from these sites is stored. ``account``, ``loid`` and ``line_phone``, the phone that the line
is registered to, are what a carrier finds a line by."""

unknown_sites = Table(
    "unknown_sites",
    metadata,
    Column("site", Text, primary_key=True),
    Column("area", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
)
"""Sites that were heard and are not in the register."""

held_reports = Table(
    "held_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index(None, "site"),
)
"""Reports of unknown sites as they came, until the site is in the register or there is no room."""

runs = Table(
    "runs",
    metadata,
    Column("site", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("boot", BigInteger, nullable=False),
    Column("coverage", LargeBinary, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("first_heard_ms", BigInteger, nullable=False),
    Column("last_heard_ms", BigInteger, nullable=False),
    Column("last_live_ms", BigInteger),
    Column("connection", BigInteger, nullable=False),
    Column("config_revision", BigInteger, nullable=False),
    Index(None, "site", "last_heard_ms"),
)
"""Each life of an agent: which of its samples are stored, dropped or refused."""

clocks = Table(
    "clocks",
    metadata,
    Column("site", Text, primary_key=True),
    Column("boot", BigInteger, primary_key=True, autoincrement=False),
    Column("offset_ms", BigInteger),
    Column("error_ms", BigInteger),
    Column("learned_boottime_ms", BigInteger),
    Column("unplaced", Boolean, nullable=False),
)
"""Per boot of a site: server time minus boot time, once it is known, and whether samples wait for it."""

samples = Table(
    "samples",
    metadata,
    Column("site", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("boot", BigInteger, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("boottime_ms", BigInteger, nullable=False),
    Column("placed_ms", BigInteger),
    Column("placement", Text, nullable=False),
    Column("not_after_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("report", BigInteger, nullable=False),
    Index(None, "site", "placed_ms"),
    # On SQLite the rows live in the primary key itself: half the pages to write for each sample.
    sqlite_with_rowid=False,
)
"""Every sample once. ``wall_ms`` and ``boottime_ms`` are the site's own clocks, ``placed_ms`` the collector's judgement,
``placement`` how it came about (``domain.placement``), ``report`` is ``reports.first`` of the report that holds its values."""

reports = Table(
    "reports",
    metadata,
    Column("site", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", LargeBinary, nullable=False),
)
"""Reports as they came, each with at least one sample that no report before it had brought. ``first``: the lowest of these;
a sample is new only once, so that there is one report to a key."""

drops = Table(
    "drops",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("booked_ms", BigInteger, nullable=False),
    Index(None, "site", "run"),
)
"""Samples that an agent no longer held before they were stored. ``reason``: ``messages.DropReason``, 0 if it did not say."""

site_state = Table(
    "site_state",
    metadata,
    Column("site", Text, primary_key=True),
    Column("area", Text, nullable=False),
    Column("last_heard_ms", BigInteger, nullable=False),
    Column("presence", Text, nullable=False),
    Column("presence_reason", Text, nullable=False),
    Column("presence_run", BigInteger, nullable=False),
    Column("presence_connection", BigInteger, nullable=False),
    Column("presence_ms", BigInteger, nullable=False),
    Column("live_run", BigInteger, nullable=False),
    Column("live_connection", BigInteger, nullable=False),
    Column("live_number", BigInteger, nullable=False),
    Column("last_live_ms", BigInteger, nullable=False),
    Column("promised_ms", BigInteger, nullable=False),
    Column("live_runs", LargeBinary, nullable=False),
    Column("verdict_ms", BigInteger, nullable=False, server_default="0"),
    Column("verdict_state", Integer, nullable=False, server_default="0"),
    Column("verdict_rung", Integer, nullable=False, server_default="0"),
)
"""What is known of a site now. 0 and empty text: nothing yet. ``verdict_*``: the newest sample that has a verdict, and when
it was taken; ``verdict_ms`` 0: none yet."""

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password", Text, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""Who may use the console. ``password``: as ``web.passwords.hashed`` makes it."""

sessions = Table(
    "sessions",
    metadata,
    Column("token", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index(None, "user"),
)
"""Who is signed in at the console. ``token``: a hash of the one in the browser."""

spans = Table(
    "spans",
    metadata,
    Column("site", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("party", Integer, nullable=False),
    Column("grade", Integer, nullable=False),
    Column("disk", Integer, nullable=False),
    Column("play", Integer, nullable=False),
    Column("media_silent", Boolean, nullable=False),
    Column("marks", BigInteger, nullable=False, server_default="0"),
    Column("io_errors", Integer, nullable=False, server_default="-1"),
    Index(None, "site", "to_ms"),
    sqlite_with_rowid=False,
)
"""Consecutive samples of a run that say the same (``domain.spans``): what a site's own record claims of its time."""

markers = Table(
    "markers",
    metadata,
    Column("site", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("about_run", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("boot_ms", BigInteger, nullable=False),
    Index(None, "site", "at_ms"),
)
"""Starts, goodbyes and losses of power in a site's own record (``domain.ledger.Marker``). ``place``: which event of it."""

absences = Table(
    "absences",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("noticed_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger),
    Column("goodbye", Text, nullable=False),
    Column("playing", Boolean, nullable=False),
    Column("suspected_ms", BigInteger),
    Column("ticket", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("concluded_ms", BigInteger),
    Index(None, "site", "from_ms"),
)
"""Times in which a site was not heard, from its last contact to its return. ``goodbye``: the reason that it gave, if any;
``suspected_ms``: since when its line is suspected; ``outcome``: ``domain.returning.Outcome`` once ``concluded_ms`` is set."""
Index(
    "ix_absences_open",
    absences.c.site,
    sqlite_where=absences.c.concluded_ms.is_(None),
    postgresql_where=absences.c.concluded_ms.is_(None),
)

faults = Table(
    "faults",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("grade", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("bad_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("proof_run", BigInteger, nullable=False),
    Column("proof_sequence", BigInteger, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("opens", Integer, nullable=False, server_default="1"),
    Index(None, "site", "started_ms"),
    Index(None, "ticket"),
)
"""Faults that samples prove (``domain.detection.Episode``), each with the number of its ticket, if it has one."""

lessons = Table(
    "lessons",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("county", Text, nullable=False),
    Column("township", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Index(None, "to_ms"),
)
"""Classes: for one site, or for all of a township or a county (empty texts: any)."""

tickets = Table(
    "tickets",
    metadata,
    Column("number", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("grade", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("outage_from_ms", BigInteger, nullable=False),
    Column("outage_to_ms", BigInteger),
    Column("acknowledged_ms", BigInteger),
    Column("acknowledged_by", Text, nullable=False),
    Column("claimed_ms", BigInteger),
    Column("resolved_ms", BigInteger),
    Column("closed_ms", BigInteger),
    Column("closing", Text),
    Column("episode", Text, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("parent", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("reopened", Integer, nullable=False),
    Column("thread", Integer, nullable=False),
    Column("notices", Integer, nullable=False),
    Column("addressee", Text),
    Column("entries", Integer, nullable=False),
    Column("area", Text, nullable=False, server_default=""),
    Index(None, "site", "opened_ms"),
    Index(None, "state"),
    Index(None, "parent"),
)
"""Maintenance tickets (``domain.tickets.Ticket``). ``evidence``: MessagePack of ``domain.tickets.Evidence``."""

area_members = Table(
    "area_members",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("absence", Integer, nullable=False),
    Column("left_ms", BigInteger),
    Index(None, "site"),
)
"""The sites of an area's ticket. ``absence``: the silence of each, 0 if it is about something else; ``left_ms``: since when it
outlives the area, with a fault of its own."""

timeline = Table(
    "timeline",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("details", Text, nullable=False),
)
"""What happened to a ticket, line by line (``domain.tickets.TimelineEntry``). ``details``: JSON."""

mails = Table(
    "mails",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("recipient", Text, primary_key=True),
    Column("ticket", Text, nullable=False),
    Column("lang", Text, nullable=False),
    Column("view", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_until_ms", BigInteger),
    Column("done_ms", BigInteger),
    Column("reason", Text, nullable=False),
    Index(None, "state", "due_ms"),
    Index(None, "ticket"),
)
"""Mails that are owed, and what became of them (``notify.outbox.Row``). ``view``: MessagePack of ``notify.view.MailView``."""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("run", BigInteger),
    Column("number", BigInteger),
    Index(None, "site"),
)
"""Messages that could not be taken in, the newest of them. ``tallies`` counts them all."""

tallies = Table(
    "tallies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)
"""Counters that stay true when the rows that they count are gone."""

findings = Table(
    "findings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("closed_ms", BigInteger),
)
"""Something about a site that a person should look at; at most one open row for each site and kind."""
Index(
    "uq_findings_open",
    findings.c.site,
    findings.c.kind,
    unique=True,
    sqlite_where=findings.c.closed_ms.is_(None),
    postgresql_where=findings.c.closed_ms.is_(None),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
)
"""When the collector last proved that it hears what is published."""

blind = Table(
    "blind",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Index(None, "from_ms"),
)
"""Times in which the collector could not hear: silence in them proves nothing."""

site_config = Table(
    "site_config",
    metadata,
    Column("site", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("settings", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("settled_ms", BigInteger),
    Index(None, "state"),
)
"""Settings that a site is to use beside its own file; the highest revision counts. ``settings``: JSON, ``state``:
``domain.remote.ConfigState``, ``reason``: the agent's."""

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("state", Text, nullable=False),
    Column("measured", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("finished_ms", BigInteger),
    Index(None, "site", "issued_ms"),
    Index(None, "state"),
)
"""Commands to sites (``domain.remote.CommandState``). ``arguments`` and ``measured``: JSON."""

series_spool = Table(
    "series_spool",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("lines", LargeBinary, nullable=False),
    Column("count", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "due_ms"),
    # A number is never given out again: who settles a row late must not hit another.
    sqlite_autoincrement=True,
)
"""Lines that the time-series store has not taken yet. ``lines``: zlib; ``size``: its bytes; ``reason``: why not, last time."""

series_rejected = Table(
    "series_rejected",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rejected_ms", BigInteger, nullable=False),
    Column("line", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Lines that the time-series store refused, the newest of them. ``tallies`` counts them all."""

series_changes = Table(
    "series_changes",
    metadata,
    Column("what", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)
"""What the time series are behind with (``store.changes``): of ``key``, it may differ since ``since_ms``."""

series_points = Table(
    "series_points",
    metadata,
    Column("what", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", BigInteger, nullable=False),
    Index(None, "site"),
)
"""Faults and tickets as time series have them: ``recorded_ms`` and ``kind`` name the point for good, ``digest`` is that of the
line that was written last."""

series_ledger = Table(
    "series_ledger",
    metadata,
    Column("site", Text, primary_key=True),
    Column("from_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("was", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("party", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The picture of each site's time as time series have it (``domain.ledger.Segment``)."""

months = Table(
    "months",
    metadata,
    Column("month", Text, primary_key=True),
    Column("closed_ms", BigInteger, nullable=False),
    Column("closed_by", Text, nullable=False),
)
"""Months (``2026-10``, of the county's clocks) whose figures are final."""

month_figures = Table(
    "month_figures",
    metadata,
    Column("month", Text, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("found_in", Text, primary_key=True),
    Column("computed_ms", BigInteger, nullable=False),
    Column("tally", LargeBinary, nullable=False),
    Index(None, "found_in"),
)
"""What a site's record of a month came to. ``found_in``: the month itself for what it was closed with, else the later
month whose closing found that the record had been amended; the newest row counts."""
