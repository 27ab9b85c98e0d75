"""From a board to Grafana's dashboard (the 11.0.0 model of grafana-foundation-sdk), and to JSON that is always the same."""

import json
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as grafana

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.model import SOURCE, WIDTH, Board, Look, Options, Panel, Row, Sums, uid
from sitekeeper_dashboards.words import NO_DATA, Words, column, mapping, said

_SOURCE = grafana.DataSourceRef(type_val="influxdb", uid=SOURCE)
_ROW_HEIGHT = 1
_MOST_POINTS = 1000
_NAMES: dict[str, Words] = {
    "county": ("县", "County"),
    "township": ("乡镇", "Township"),
    "access_node": ("接入点", "Access node"),
    "site": ("站点", "Site"),
}


class Influx(Dataquery):
    """A raw InfluxQL query of Grafana's InfluxDB data source."""

    def __init__(self, ref_id: str, query: str, *, series: bool, alias: str) -> None:
        self.ref_id, self.query, self.series, self.alias = ref_id, query, series, alias

    def to_json(self) -> dict[str, object]:
        """As Grafana keeps it."""
        told: dict[str, object] = {
            "refId": self.ref_id,
            "datasource": _SOURCE,
            "query": self.query,
            "rawQuery": True,
            "resultFormat": "time_series" if self.series else "table",
        }
        return told | ({"alias": self.alias} if self.alias else {})


class Outages(Influx):
    """Stretches of time to be marked in graphs."""

    def __init__(self, query: str) -> None:
        super().__init__("Anno", query, series=False, alias="")

    def to_json(self) -> dict[str, object]:
        """As Grafana keeps it."""
        columns = {"textColumn": "kind", "tagsColumn": "party", "timeEndColumn": "to_ms", "fromAnnotations": True}
        return super().to_json() | columns


def text(board: Board, options: Options) -> str:
    """The dashboard as JSON."""
    return json.dumps(dashboard(board, options), cls=JSONEncoder, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def dashboard(board: Board, options: Options) -> grafana.Dashboard:
    """The dashboard. It has no id: Grafana gives one; it is known by its uid."""
    lang = options.lang
    return grafana.Dashboard(
        uid=uid(board.key, lang),
        title=f"Sitekeeper {said(board.title, lang)}",
        description=said(board.description, lang),
        tags=["sitekeeper", lang],
        timezone=options.zone,
        editable=False,
        graph_tooltip=grafana.DashboardCursorSync.CROSSHAIR,
        time=grafana.DashboardDashboardTime(from_val=board.from_, to=board.to),
        refresh=board.refresh,
        schema_version=39,
        panels=list(_panels(board, options)),
        templating=grafana.DashboardDashboardTemplating(list_val=_variables(board, options)),
        annotations=grafana.AnnotationContainer(list_val=_annotations(board, options)),
        links=_links(board, options),
        week_start="monday",
    )


# --- what stands where -------------------------------------------------------------------------------------------------


def places(row: Row, top: int) -> list[tuple[Panel, grafana.GridPos]]:
    """Where the panels of a row stand: side by side as long as they fit, the next line below the highest of this one."""
    found: list[tuple[Panel, grafana.GridPos]] = []
    left = height = 0
    for panel in row.panels:
        if left + panel.width > WIDTH:
            top, left, height = top + height, 0, 0
        found.append((panel, grafana.GridPos(x=left, y=top, w=panel.width, h=panel.height)))
        left, height = left + panel.width, max(height, panel.height)
    return found


def _panels(board: Board, options: Options) -> Iterator[grafana.Panel | grafana.RowPanel]:
    top, number = 0, 1
    for row in board.rows:
        placed = places(row, top + _ROW_HEIGHT)
        inside = [_panel(panel, at, number + 1 + index, options) for index, (panel, at) in enumerate(placed)]
        yield grafana.RowPanel(
            id_val=number,
            title=said(row.title, options.lang),
            collapsed=row.folded,
            grid_pos=grafana.GridPos(x=0, y=top, w=WIDTH, h=_ROW_HEIGHT),
            panels=inside if row.folded else [],
        )
        if not row.folded:
            yield from inside
        number += 1 + len(inside)
        top += _ROW_HEIGHT
        if not row.folded:
            top = max(at.y + at.h for _, at in placed)


def _panel(panel: Panel, at: grafana.GridPos, number: int, options: Options) -> grafana.Panel:
    return grafana.Panel(
        id_val=number,
        type_val=panel.look.value,
        title=said(panel.title, options.lang),
        description=said(panel.description, options.lang),
        datasource=_SOURCE,
        grid_pos=at,
        targets=[
            Influx(chr(ord("A") + index), query.text, series=bool(query.alias), alias=query.alias)
            for index, query in enumerate(panel.queries)
        ],
        max_data_points=_MOST_POINTS,
        # No finer than samples come: a finer raster would show gaps where there are none.
        interval="1m",
        repeat=panel.repeat or None,
        transformations=_transformations(panel.sums) if panel.sums else None,
        options=_options(panel),
        field_config=grafana.FieldConfigSource(defaults=_defaults(panel, options), overrides=list(_overrides(panel, options))),
    )


# --- how values are shown ----------------------------------------------------------------------------------------------


def _defaults(panel: Panel, options: Options) -> grafana.FieldConfig:
    by_step = panel.look is not Look.GRAPH
    mode = grafana.FieldColorModeId.THRESHOLDS if by_step else grafana.FieldColorModeId.PALETTE_CLASSIC
    custom: dict[str, object] | None = None
    if panel.look is Look.GRAPH:
        # A gap is a gap: no line is drawn through time in which nothing was measured.
        custom = {"spanNulls": False, "drawStyle": "bars" if panel.bars else "line", "fillOpacity": 60 if panel.bars else 10}
        custom |= {
            "showPoints": "auto",
            "lineWidth": 1,
            "thresholdsStyle": {"mode": "off" if len(panel.steps) == 1 else "line"},
        }
    elif panel.look is Look.STATES:
        custom = {"fillOpacity": 85, "lineWidth": 0, "spanNulls": False}
    return grafana.FieldConfig(
        unit=panel.unit,
        no_value=said(NO_DATA, options.lang),
        max_val=panel.most,
        min_val=0 if panel.look in (Look.GRAPH, Look.BARS) else None,
        color=grafana.FieldColor(mode=mode),
        thresholds=grafana.ThresholdsConfig(
            mode=grafana.ThresholdsMode.ABSOLUTE,
            steps=[grafana.Threshold(value=step.at, color=step.colour.value) for step in panel.steps],
        ),
        mappings=_mappings(panel.mapped["*"], options) if "*" in panel.mapped else [],
        custom=custom,
    )


def _mappings(name: str, options: Options) -> list[Any]:
    results = {
        value: grafana.ValueMappingResult(text=words, color=colour, index=index)
        for index, (value, (words, colour)) in enumerate(mapping(name, options.lang).items())
    }
    return [grafana.ValueMap(options=results)]


def _overrides(panel: Panel, options: Options) -> Iterator[grafana.DashboardFieldConfigSourceOverrides]:
    columns = dict.fromkeys(name for query in panel.queries for name in query.columns)
    if panel.look is Look.TABLE:
        columns = {"Time": None} | columns
    for name in columns:
        properties = [grafana.DynamicConfigValue(id_val=key, value=value) for key, value in _properties(panel, name, options)]
        if not properties:
            continue
        summed = panel.sums is not None and name in panel.sums.of
        yield grafana.DashboardFieldConfigSourceOverrides(
            matcher=grafana.MatcherConfig(id_val="byName", options=f"{name} (sum)" if summed else name), properties=properties
        )


def _properties(panel: Panel, name: str, options: Options) -> Iterator[tuple[str, object]]:
    table = panel.look is Look.TABLE
    words = column(name, options.lang, panel.names)
    if words is not None:
        yield "displayName", words
    if name in panel.units:
        yield "unit", panel.units[name]
    if name in panel.mapped:
        yield "mappings", _mappings(panel.mapped[name], options)
        if table:
            yield "custom.cellOptions", {"type": "color-text"}
    if name in panel.colours:
        yield "color", grafana.FieldColor(mode=grafana.FieldColorModeId.FIXED, fixed_color=panel.colours[name].value)
    if table and (name in panel.hidden or (name == "Time" and not panel.timed and panel.sums is None)):
        yield "custom.hidden", True
    if table and name in ("number", "site"):
        yield "links", [_link(name, options)]


def _link(name: str, options: Options) -> dict[str, object]:
    if name == "number":
        told = said(("在控制台打开", "Open in the console"), options.lang)
        return {"title": told, "url": f"{_console(options)}/tickets/${{__value.raw}}"}
    page = f"/d/{uid('site', options.lang)}?var-site=${{__value.raw}}&${{__url_time_range}}"
    return {"title": said(("站点页", "The site's page"), options.lang), "url": page}


def _console(options: Options) -> str:
    return options.console.rstrip("/")


def _transformations(sums: Sums) -> list[grafana.DataTransformerConfig]:
    by = "Time" if sums.months else sums.by
    fields: dict[str, object] = {name: {"aggregations": ["sum"], "operation": "aggregate"} for name in sums.of}
    fields[by] = {"aggregations": [], "operation": "groupby"}
    grouped = grafana.DataTransformerConfig(id_val="groupBy", options={"fields": fields})
    if sums.months:
        form = {"timeField": "Time", "outputFormat": "YYYY-MM", "useTimezone": True}
        return [grafana.DataTransformerConfig(id_val="formatTime", options=form), grouped]
    order = {"fields": {}, "sort": [{"field": f"{sums.of[0]} (sum)", "desc": True}]}
    return [grouped, grafana.DataTransformerConfig(id_val="sortBy", options=order)]


def _options(panel: Panel) -> dict[str, object]:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    legend = {"displayMode": "list", "placement": "bottom"}
    match panel.look:
        case Look.STAT:
            colour = "value" if panel.colours or len(panel.steps) > 1 else "none"
            return {"reduceOptions": reduced, "colorMode": colour, "graphMode": "none", "textMode": "value_and_name"}
        case Look.BARS:
            rows = {**reduced, "values": True, "limit": 100}
            return {"reduceOptions": rows, "orientation": "horizontal", "displayMode": "basic"}
        case Look.GRAPH:
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "none"}}
        case Look.STATES:
            return {"mergeValues": True, "showValue": "auto", "rowHeight": 0.9, "legend": legend}
        case Look.TABLE:
            return {}


# --- variables, annotations, links -------------------------------------------------------------------------------------


def variable_query(name: str) -> str:
    """The values that a variable can have: those that go with what is chosen of the wider ones."""
    wider = list(_NAMES)[: list(_NAMES).index(name)]
    chosen = " AND ".join(f'"{one}" =~ /^${{{one}:regex}}$/' for one in wider)
    return f'SHOW TAG VALUES FROM "site" WITH KEY = "{name}"' + (f" WHERE {chosen}" if chosen else "")


def _variables(board: Board, options: Options) -> list[grafana.VariableModel]:
    return [_variable(name, board.one_site and name == "site", options) for name in board.variables]


def _variable(name: str, single: bool, options: Options) -> grafana.VariableModel:
    every = grafana.VariableOption(selected=True, text=said(("全部", "All"), options.lang), value="$__all")
    return grafana.VariableModel(
        type_val=grafana.VariableType.QUERY,
        name=name,
        label=said(_NAMES[name], options.lang),
        datasource=_SOURCE,
        query=variable_query(name),
        refresh=grafana.VariableRefresh.ON_DASHBOARD_LOAD,
        sort=grafana.VariableSort.NATURAL_ASC,
        multi=not single,
        include_all=not single,
        # Without a value of its own Grafana would list every site in each query.
        all_value=None if single else ".*",
        current=None if single else every,
    )


def _annotations(board: Board, options: Options) -> list[grafana.AnnotationQuery]:
    if not board.outages:
        return []
    scope = q.ONE_SITE if board.one_site else q.SITES
    where = f"{q.VALID} AND {scope} AND {q.one_of('was', q.BROKEN)} AND $timeFilter"
    made = grafana.AnnotationQuery(
        name=said(("中断", "Outages"), options.lang), datasource=_SOURCE, enable=True, icon_color="red", type_val="dashboard"
    )
    # The model knows the target of Grafana's own annotations only.
    made.target = Outages(q.select('"kind", "to_ms", "party"', "ledger", where))  # type: ignore[assignment]
    return [made]


def _links(board: Board, options: Options) -> list[grafana.DashboardLink]:
    others = grafana.DashboardLink(
        title="Sitekeeper",
        type_val=grafana.DashboardLinkType.DASHBOARDS,
        icon="external link",
        tooltip="",
        url="",
        tags=["sitekeeper", options.lang],
        as_dropdown=True,
        target_blank=False,
        include_vars=True,
        keep_time=True,
    )
    links = [others, _to(("控制台", "Console"), _console(options), options, new_tab=True)]
    if board.key == "month":
        # Some counties look at two months together.
        two = f"/d/{uid(board.key, options.lang)}?from=now-2M/M&to=now-1M/M"
        links.append(_to(("最近两个月", "Last two months"), two, options, new_tab=False))
    return links


def _to(title: Words, url: str, options: Options, *, new_tab: bool) -> grafana.DashboardLink:
    return grafana.DashboardLink(
        title=said(title, options.lang),
        type_val=grafana.DashboardLinkType.LINK,
        icon="external link",
        tooltip="",
        url=url,
        tags=[],
        as_dropdown=False,
        target_blank=new_tab,
        include_vars=not new_tab,
        keep_time=False,
    )
