#!/usr/bin/env python3
"""Writes the dashboards beside this file, in Grafana's own types (pip install grafana-foundation-sdk).

make.py          writes dashboards/*.json
make.py --check  writes nothing; fails if a file is not what this makes of it, or if Grafana's types lose a part of it

A panel's description says what it shows and what to do; docs/supervisors.md says it at length.
"""
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as types

HERE = Path(__file__).parent / "dashboards"
SOURCE = types.DataSourceRef(type_val="prometheus", uid="tierline")
GREEN, YELLOW, RED = "green", "#EAB839", "red"


def steps(*colors):
    """Colors from a value on; the first from everywhere."""
    found = [types.Threshold(value=value, color=color) for value, color in colors]
    return dashboard.ThresholdsConfig().mode(types.ThresholdsMode.ABSOLUTE).steps(found)


def query(expr, legend="", instant=False, ref="A"):
    built = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").ref_id(ref).datasource(SOURCE)
    return built.instant().format("table" if instant == "table" else "time_series") if instant else built.range()


def common_of(panel, title, about, unit, width, height, colors=None, decimals=None):
    panel.title(title).description(about).datasource(SOURCE).unit(unit).span(width).height(height)
    if colors:
        panel.thresholds(steps(*colors))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def number(title, about, expr, unit="short", legend="", width=4, colors=((None, GREEN),), decimals=None):
    """One number for each series, as it is now or over the dashboard's range."""
    panel = common_of(stat.Panel(), title, about, unit, width, 4, colors, decimals)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.text_mode(models.BigValueTextMode.VALUE_AND_NAME if legend else models.BigValueTextMode.VALUE)
    panel.color_mode(models.BigValueColorMode.BACKGROUND if len(colors) > 1 else models.BigValueColorMode.VALUE)
    return panel.with_target(query(expr, legend, instant=True))


def lines(title, about, *queries, unit="short", width=12, stacked=False):
    """Over time. A query is (expression, legend)."""
    panel = common_of(timeseries.Panel(), title, about, unit, width, 8)
    panel.fill_opacity(30 if stacked else 5).min(0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
    for ref, (expr, legend) in zip("ABCDEFGH", queries):
        panel.with_target(query(expr, legend, ref=ref))
    return panel


def bars(title, about, expr, legend, unit="short", width=8):
    """A bar for each series, as it is now or over the range."""
    panel = common_of(bargauge.Panel(), title, about, unit, width, 8, ((None, GREEN),))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.orientation(models.VizOrientation.HORIZONTAL).min(0)
    return panel.with_target(query(expr, legend, instant=True))


def rows(title, about, *columns, by, width=24, height=8):
    """A row for each value of a label. A column is (name, expression, unit)."""
    panel = common_of(table.Panel(), title, about, "short", width, height)
    names, units = {}, []
    for ref, (name, expr, unit) in zip("ABCDEFGHIJKLMNOP", columns, strict=False):
        panel.with_target(query(expr, instant="table", ref=ref))
        names[f"Value #{ref}"] = name
        panel.override_by_name(name, [types.DynamicConfigValue(id_val="unit", value=unit)])
    panel.with_transformation(types.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": {"Time": True}, "renameByName": {**names, by: by.capitalize()}}
    return panel.with_transformation(types.DataTransformerConfig(id_val="organize", options=organize))


def choice(name, label, expr):
    """A variable: which of these, all by default."""
    variable = dashboard.QueryVariable(name).label(label).query(expr).datasource(SOURCE).multi(True).include_all(True)
    variable.all_value(".*").refresh(types.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.current(types.VariableOption(selected=True, text="All", value="$__all"))


FORMULAS = ["A_T/(A+B-B_s)", "A_T/A", "A_T/(A+B)", "(A_T+B_T)/(A+B)", "A_T/(A+B-B_T)", "(A_T+B_s)/(A+B)"]


def formula():
    options = [types.VariableOption(selected=f == FORMULAS[0], text=f, value=f) for f in FORMULAS]
    variable = dashboard.CustomVariable("formula").label("Service level").values(",".join(FORMULAS))
    return variable.options(options).current(options[0])


def board(uid, title, about, variables, *sections):
    built = dashboard.Dashboard(title).uid(uid).description(about).tags(["tierline"]).readonly()
    built.refresh("10s").time("now-1h", "now").timezone("browser").tooltip(types.DashboardCursorSync.CROSSHAIR)
    link = dashboard.DashboardLink("Tierline").type(types.DashboardLinkType.DASHBOARDS).tags(["tierline"])
    built.link(link.as_dropdown(True).keep_time(True).include_vars(True))
    for variable in variables:
        built.with_variable(variable)
    for name, panels in sections:
        built.with_row(dashboard.Row(name))
        for panel in panels:
            built.with_panel(panel)
    made = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    for place, panel in enumerate(made["panels"], 1):
        panel["id"] = place
    return made


def in_range(family, more="", by="queue"):
    """How many in the dashboard's range. Rounded: increase() estimates at the edges, and callers are whole."""
    selector = f'{by}=~"${by}"' + (f",{more}" if more else "")
    return f"round(sum by ({by}) (increase({family}{{{selector}}}[$__range])))"


def share(part, whole):
    return f"{part} / ({whole} > 0)"


def quantile(q, family, more="", by="queue"):
    selector = f'{by}=~"${by}"' + (f",{more}" if more else "")
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({family}_bucket{{{selector}}}[$__range])))"


def mean(family, more="", by="queue"):
    selector = f'{by}=~"${by}"' + (f",{more}" if more else "")
    total, count = (f"sum by ({by}) (increase({family}_{part}{{{selector}}}[$__range]))" for part in ("sum", "count"))
    return share(total, count)


QUEUE = '{queue=~"$queue"}'
STAFFED = 'state=~"ready|reserved|busy|wrap_up"'


def queues():
    offered, answered = in_range("tierline_queue_offered_total"), in_range("tierline_queue_answered_total")
    within = in_range("tierline_queue_answered_within_target_total")
    abandoned, short = in_range("tierline_queue_abandoned_total"), in_range("tierline_queue_abandoned_short_total")
    now = [
        number("Waiting now", "Callers who wait, those included for whom a phone rings. Many, and nobody free: move agents.",
               f"sum(tierline_queue_waiting{QUEUE})", colors=((None, GREEN), (5, YELLOW), (20, RED))),
        number("Longest wait now", "How long the caller has waited who waits longest. Long while others are served: nobody has the skills that he needs.",
               f"max(tierline_queue_longest_wait_seconds{QUEUE})", "s", colors=((None, GREEN), (60, YELLOW), (180, RED)), decimals=0),
        number("Agents ready", "Agents of these queues who could take a call this moment. An agent of two queues counts in both.",
               'sum(tierline_queue_agents{queue=~"$queue",state="ready"})', colors=((None, RED), (1, GREEN))),
        number("Agents at work", "Ready, ringing, talking or writing up. Zero while callers wait: the alert NobodyAtWork is on its way.",
               f'sum(tierline_queue_agents{{queue=~"$queue",{STAFFED}}})', colors=((None, RED), (1, GREEN))),
        number("Service level", "Share answered within the target, by the formula chosen above, of the time chosen above.",
               level_of_all(), "percentunit", colors=((None, RED), (0.7, YELLOW), (0.8, GREEN)), width=8, decimals=1),
    ]
    flow = [
        rows("Queues", "Each queue now, and in the time chosen above. Who waited at its beginning + offered = answered + abandoned + given back + lost + who waits at its end, all of them for the first time; who waits again (his agent's phone was lost; the number or the agent that he was sent to did not take him) is apart, but for Waiting and Longest.",
             ("Waiting", f"sum by (queue) (tierline_queue_waiting{QUEUE})", "short"),
             ("Longest", f"max by (queue) (tierline_queue_longest_wait_seconds{QUEUE})", "s"),
             ("At work", f'sum by (queue) (tierline_queue_agents{{queue=~"$queue",{STAFFED}}})', "short"),
             ("Offered", offered, "short"), ("Answered", answered, "short"), ("In time", within, "short"),
             ("Abandoned", abandoned, "short"), ("of them short", short, "short"),
             ("Given back", in_range("tierline_queue_diverted_total"), "short"),
             ("Lost", in_range("tierline_queue_lost_total"), "short"), ("Again", in_range("tierline_queue_requeued_total"), "short"),
             ("Mean wait", mean("tierline_queue_wait_seconds", 'outcome="answered"'), "s"),
             ("Mean handling", mean("tierline_queue_handle_seconds"), "s"), by="queue"),
        lines("Callers", "How many came, were answered and gave up in each minute. Gaps between offered and answered that last are too few agents.",
              (f"sum(rate(tierline_queue_offered_total{QUEUE}[$__rate_interval])) * 60", "offered"),
              (f"sum(rate(tierline_queue_answered_total{QUEUE}[$__rate_interval])) * 60", "answered"),
              (f"sum(rate(tierline_queue_abandoned_total{QUEUE}[$__rate_interval])) * 60", "abandoned")),
        lines("Waiting and at work", "Callers who wait, and agents ready and at work, over time. Waiting grows while agents are ready: look at skills.",
              (f"sum(tierline_queue_waiting{QUEUE})", "waiting"),
              ('sum(tierline_queue_agents{queue=~"$queue",state="ready"})', "ready"),
              (f'sum(tierline_queue_agents{{queue=~"$queue",{STAFFED}}})', "at work")),
        lines("Service level of the last hour", "By each formula, for one look back at each moment. They differ in what becomes of callers who left.",
              ('queue:tierline_service_level:1h{queue=~"$queue",formula="$formula"}', "{{queue}}"), unit="percentunit"),
        lines("How long callers waited", "Half of the answered waited less than p50, nine of ten less than p90; abandoned: half gave up before.",
              (quantile(0.5, "tierline_queue_wait_seconds", 'outcome="answered"'), "{{queue}} answered p50"),
              (quantile(0.9, "tierline_queue_wait_seconds", 'outcome="answered"'), "{{queue}} answered p90"),
              (quantile(0.5, "tierline_queue_wait_seconds", 'outcome="abandoned"'), "{{queue}} abandoned p50"), unit="s"),
        lines("How long a call takes", "Talk with hold, and the whole handling with wrap-up, on average. Handling grows without talk: wrap-up grows.",
              (mean("tierline_queue_talk_seconds"), "{{queue}} talk"), (mean("tierline_queue_handle_seconds"), "{{queue}} handling"), unit="s"),
        bars("Given back to the flow", "Why queues gave callers back: full, waited too long, nobody at work, too long expected, or the caller chose something else.",
             'round(sum by (queue, reason) (increase(tierline_queue_diverted_total{queue=~"$queue"}[$__range])))', "{{queue}} {{reason}}", width=12),
    ]
    return board("tierline-queues", "Tierline: queues", "For supervisors: who waits, how long, and who is there.",
                 [choice("queue", "Queue", "label_values(tierline_queue_offered_total, queue)"), formula()],
                 ("Now", now), ("The time chosen above", flow))


def level_of_all():
    """The chosen formula over all chosen queues: each formula's expression is there if it is the one."""
    def total(family):
        return f"round(sum(increase({family}{QUEUE}[$__range])))"
    a, b = total("tierline_queue_answered_total"), total("tierline_queue_abandoned_total")
    a_t = total("tierline_queue_answered_within_target_total")
    b_t = total("tierline_queue_abandoned_within_target_total")
    b_s = total("tierline_queue_abandoned_short_total")
    parts = {"A_T/A": (a_t, a), "A_T/(A+B)": (a_t, f"({a} + {b})"), "(A_T+B_T)/(A+B)": (f"({a_t} + {b_t})", f"({a} + {b})"),
             "A_T/(A+B-B_T)": (a_t, f"({a} + {b} - {b_t})"), "(A_T+B_s)/(A+B)": (f"({a_t} + {b_s})", f"({a} + {b})"),
             "A_T/(A+B-B_s)": (a_t, f"({a} + {b} - {b_s})")}
    def chosen(formula, part, whole):
        named = f'label_replace({share(part, whole)}, "formula", "{formula}", "", "")'
        return f'({named} and on (formula) label_replace(vector(1), "formula", "$formula", "", ""))'
    return " or ".join(chosen(formula, *parts[formula]) for formula in FORMULAS)


def agents():
    present = [
        number("Ready", "Agents who could take a call this moment.", 'sum(tierline_agents{state="ready"})', colors=((None, RED), (1, GREEN))),
        number("Talking", "Agents in a call.", 'sum(tierline_agents{state="busy"})'),
        number("Writing up", "Agents in wrap-up. Many for long: is the wrap-up time right?", 'sum(tierline_agents{state="wrap_up"})'),
        number("Not ready", "Agents on a break, or resting after refusals. The bars below say why.", 'sum(tierline_agents{state="not_ready"}) or vector(0)'),
        number("Unreachable", "Signed in, but no phone of theirs answers and no trunk carries a call to their number: restart the phone, look at the trunks.", 'sum(tierline_agents{state="unreachable"})', colors=((None, GREEN), (1, RED))),
        number("Occupancy", "Of the time at work, the share with a call or its wrap-up, of the time chosen above. Over 90 % for hours wears people out.",
               share('sum(increase(tierline_agents_state_seconds_total{state=~"reserved|busy|wrap_up"}[$__range]))',
                     'sum(increase(tierline_agents_state_seconds_total{state=~"reserved|busy|wrap_up|ready"}[$__range]))'),
               "percentunit", colors=((None, GREEN), (0.85, YELLOW), (0.95, RED)), decimals=1),
    ]
    over = [
        lines("By state", "What all agents do, over time.", ("sum by (state) (tierline_agents)", "{{state}}"), stacked=True),
        bars("Not ready, by reason", "Agents on a break now. `declined`, `no answer`, `busy`: a rest that nobody asked for; it ends by itself.",
             'sum by (reason) (tierline_agents{state="not_ready"}) or on() label_replace(vector(0), "reason", "nobody", "", "")', "{{reason}}", width=12),
        bars("Time by state and reason", "Where the hours of all agents went, in the time chosen above.",
             'sum by (state, reason) (increase(tierline_agents_state_seconds_total{state!="logged_out"}[$__range]))', "{{state}} {{reason}}", "s", width=12),
        bars("Offers, by outcome", "What became of ringing phones, in the time chosen above. Many no_answer: agents leave without a break.",
             "round(sum by (outcome) (increase(tierline_offers_total[$__range])))", "{{outcome}}", width=12),
        bars("Unreachable, by agent", "Whose phones and number do not answer. Only with agent_series = true in [server.http]; without it see `tierline report agent --interval 15m`, column unreachable.",
             'tierline_agent_state{state="unreachable"} == 1 or on() label_replace(vector(0), "agent", "nobody", "", "")', "{{agent}}", width=12),
        lines("Handling time", "Half of the calls took less than p50 from answer to the end of wrap-up, nine of ten less than p90.",
              ("histogram_quantile(0.5, sum by (le, queue) (rate(tierline_queue_handle_seconds_bucket[$__range])))", "{{queue}} p50"),
              ("histogram_quantile(0.9, sum by (le, queue) (rate(tierline_queue_handle_seconds_bucket[$__range])))", "{{queue}} p90"), unit="s"),
        bars("Sent on by agents", "Callers whom agents transferred, in the time chosen above. Many to queues: does the menu lead them wrong?",
             "round(sum by (to) (increase(tierline_transfers_total[$__range])))", "{{to}}", width=12),
    ]
    return board("tierline-agents", "Tierline: agents", "For leads: what agents do, and why they are not ready.", [], ("Now", present), ("Over time", over))


def flows():
    top = [
        rows("Flows", "What became of calls, in the time chosen above. The calls that ran at its beginning + entered = contained + queued + transferred + to another flow + hung up + failed + ended otherwise + the calls that run at its end.",
             ("Entered", in_range("tierline_flow_entered_total", by="flow"), "short"),
             *((name, in_range("tierline_flow_left_total", f'outcome="{outcome}"', by="flow"), "short") for name, outcome in
               [("Contained", "contained"), ("Queued", "queued"), ("Transferred", "transferred"), ("Other flow", "other_flow"), ("Ended otherwise", "ended"), ("Hung up", "hung_up"), ("Failed", "failed")]),
             ("Asked for a person", in_range("tierline_flow_person_asked_total", by="flow"), "short"), by="flow"),
        lines("Contained", "Share of calls that the flow served to its end in the last hour, without a person.",
              ('flow:tierline_contained:1h{flow=~"$flow"}', "{{flow}}"), unit="percentunit"),
        lines("Asked for a person", "In each minute. Many at one menu: its words do not help.",
              ('sum by (flow) (rate(tierline_flow_person_asked_total{flow=~"$flow"}[$__rate_interval])) * 60', "{{flow}}")),
        bars("Steps", "How often each step was entered, in the time chosen above. Where it drops, callers leave.",
             'round(sum by (flow, step) (increase(tierline_flow_steps_total{flow=~"$flow"}[$__range])))', "{{flow}} {{step}}", width=12),
        bars("Nothing chosen", "Turns of menus that came to nothing. no_key: too long or unclear; wrong_key: callers expect another key.",
             'round(sum by (flow, reason) (increase(tierline_flow_nothing_chosen_total{flow=~"$flow"}[$__range])))', "{{flow}} {{reason}}", width=12),
        bars("Look-ups", "In the ticketing system, in the time chosen above. Failed: see the alert LookUpsFail.",
             'round(sum by (flow, outcome) (increase(tierline_flow_look_ups_total{flow=~"$flow"}[$__range])))', "{{flow}} {{outcome}}", width=12),
        bars("Calls by line", "Calls that arrived, in the time chosen above.", "round(sum by (line) (increase(tierline_calls_arrived_total[$__range])))", "{{line}}", width=12),
    ]
    return board("tierline-flows", "Tierline: flows", "For planners: what callers do in menus, and whether they are served there.",
                 [choice("flow", "Flow", "label_values(tierline_flow_entered_total, flow)")], ("The time chosen above", top))


def operations():
    state = [
        number("Up", "Whether it answers.", 'min(up{job="tierline"})', colors=((None, RED), (1, GREEN))),
        number("Log healthy", "Whether the event log can be written. If not, no new calls are taken.", "min(tierline_log_healthy)", colors=((None, RED), (1, GREEN))),
        number("Calls now", "Calls that run.", "sum(tierline_calls)"),
        number("Engine load", "Share of its time that the engine's thread works. Over 70 % calls begin to be answered late.",
               "max(rate(tierline_engine_busy_seconds_total[1m]))", "percentunit", colors=((None, GREEN), (0.5, YELLOW), (0.7, RED)), decimals=1),
        number("Disk free", "Where the data directory is.", "min(tierline_data_free_bytes / tierline_data_capacity_bytes)", "percentunit",
               colors=((None, RED), (0.1, YELLOW), (0.2, GREEN)), decimals=0),
        number("Defects", "Times that the engine repaired itself, in the time chosen above. Each is to be reported.",
               "round(sum(increase(tierline_repairs_total[$__range])))", colors=((None, GREEN), (1, RED))),
        number("Defects beside calls", "Mistakes of ours that were caught outside of calls, in the time chosen above. Calls went on; each is to be reported.",
               "round(sum(increase(tierline_defects_total[$__range])))", colors=((None, GREEN), (1, RED))),
        number("Threads missing", "Threads beside the calls that are not there at the moment: see the alert ThreadMissing.",
               "sum(1 - tierline_thread_alive)", colors=((None, GREEN), (1, RED))),
    ]
    calls = [
        lines("Calls by phase", "Calls that run, by how far they have come.", ("sum by (phase) (tierline_calls)", "{{phase}}"), stacked=True),
        bars("Calls by cause", "Why calls ended, in the time chosen above.", "round(sum by (cause) (increase(tierline_calls_ended_total[$__range]))) > 0 or on() label_replace(vector(0), \"cause\", \"none\", \"\", \"\")", "{{cause}}", width=12),
        lines("Trunks: calls", "Calls over trunks that run.", ('sum by (trunk, direction) (tierline_trunk_calls) or on() label_replace(vector(0), "trunk", "no trunk", "", "")', "{{trunk}} {{direction}}")),
        lines("Ticketing", "Requests that wait for the ticketing system, and for how long the oldest does. Nothing is lost; see the alert TicketingBehind.",
              ("sum(tierline_ticketing_waiting) or vector(0)", "waiting"), ("max(tierline_ticketing_lag_seconds) or vector(0)", "oldest, s")),
        lines("Trunks: up", "1 while the trunk's server answers.", ('sum by (trunk) (tierline_trunk_state{state="up"}) or on() label_replace(vector(0), "trunk", "no trunk", "", "")', "{{trunk}}")),
    ]
    sip = [
        lines("SIP requests", "Requests that came in each second.", ("sum by (method) (rate(tierline_sip_requests_received_total[$__rate_interval]))", "{{method}}"), unit="reqps"),
        lines("SIP answers", "What we answered to INVITE in each second. 503: turned away.", ('sum by (code) (rate(tierline_sip_responses_sent_total{method="INVITE"}[$__rate_interval]))', "{{code}}"), unit="reqps"),
        lines("SIP trouble", "Repetitions, drops, unreadable messages, failed proofs and bans, in each second.",
              ("sum(rate(tierline_sip_retransmissions_received_total[$__rate_interval]))", "came again"),
              ("sum(rate(tierline_sip_retransmissions_sent_total[$__rate_interval]))", "sent again"),
              ("sum(rate(tierline_sip_datagrams_dropped_total[$__rate_interval]))", "dropped by the system"),
              ("sum(rate(tierline_sip_refusals_total[$__rate_interval])) or vector(0)", "unreadable"),
              ("sum(rate(tierline_sip_auth_failures_total[$__rate_interval])) or vector(0)", "proofs failed"),
              ("sum(tierline_sip_banned)", "banned now")),
        lines("Phones and connections", "Registered phones, and open connections.", ("sum(tierline_sip_bindings)", "phones"),
              ("sum by (transport) (tierline_sip_connections) or on() label_replace(vector(0), \"transport\", \"none\", \"\", \"\")", "{{transport}}")),
    ]
    audio = [
        lines("RTP packets", "In each second.", ("sum(rate(tierline_media_packets_received_total[$__rate_interval]))", "received"),
              ("sum(rate(tierline_media_packets_sent_total[$__rate_interval]))", "sent"), unit="pps"),
        lines("Jitter of legs", "Nine of ten legs that ended had less than p90.",
              ("histogram_quantile(0.5, sum by (le) (rate(tierline_media_leg_jitter_seconds_bucket[$__range])))", "p50"),
              ("histogram_quantile(0.9, sum by (le) (rate(tierline_media_leg_jitter_seconds_bucket[$__range])))", "p90"), unit="s"),
        lines("Loss of legs", "Nine of ten legs that ended had lost less than p90 of their packets.",
              ("histogram_quantile(0.9, sum by (le) (rate(tierline_media_leg_loss_ratio_bucket[$__range])))", "p90"), unit="percentunit"),
        lines("Audio trouble", "In each second.", ("sum(rate(tierline_media_late_ticks_total[$__rate_interval]))", "late ticks"),
              ("sum(rate(tierline_media_one_way_total[$__rate_interval]))", "legs one-way"),
              ("sum(rate(tierline_media_packets_unsent_total[$__rate_interval]))", "packets not taken by the system"),
              ("sum(rate(tierline_media_frames_concealed_total[$__rate_interval]))", "frames made up")),
    ]
    machine = [
        lines("Engine step", "How long one input of the engine takes.",
              ("histogram_quantile(0.5, sum by (le) (rate(tierline_engine_step_seconds_bucket[$__rate_interval])))", "p50"),
              ("histogram_quantile(0.99, sum by (le) (rate(tierline_engine_step_seconds_bucket[$__rate_interval])))", "p99"), unit="s"),
        lines("Engine backlog", "What waits for the engine's thread.", ("sum by (of) (tierline_engine_backlog)", "{{of}}")),
        lines("Log", "Events that wait for the disk, and how long one group takes to be safe (p99).",
              ("sum(tierline_log_queued_events)", "waiting events"),
              ("histogram_quantile(0.99, sum by (le) (rate(tierline_log_commit_seconds_bucket[$__range])))", "p99 of a commit, s")),
        lines("Records behind the log", "What reports lack: events, and since when. It comes up by itself; see the alert RecordsBehind.",
              ("max(tierline_records_lag_events)", "events"), ("max(tierline_records_lag_seconds)", "for so long, s")),
        lines("Log lost and tried again", "Both should be 0.", ("sum(tierline_log_lost_events_total)", "lost events"), ("sum(tierline_log_failures_total)", "groups tried again")),
        lines("Processor", "In cores.", ('sum(rate(process_cpu_seconds_total{job="tierline"}[$__rate_interval]))', "all threads"),
              ("sum(rate(tierline_engine_busy_seconds_total[$__rate_interval]))", "engine")),
        lines("Memory", "Of the process.", ('sum(process_resident_memory_bytes{job="tierline"})', "resident"), unit="bytes"),
        lines("Files", "Open file descriptors, and how many there may be.", ('sum(process_open_fds{job="tierline"})', "open"), ('sum(process_max_fds{job="tierline"})', "most")),
        lines("Log and records on disk", "Their sizes, and what is free beside them.", ("sum(tierline_log_size_bytes)", "log"), ("sum(tierline_records_size_bytes)", "records"), ("sum(tierline_data_free_bytes)", "free"), unit="bytes"),
    ]
    return board("tierline-operations", "Tierline: operations", "For those who run it: the engine, SIP, audio, log and machine.", [],
                 ("State", state), ("Calls", calls), ("SIP", sip), ("Audio", audio), ("Engine and machine", machine))


BOARDS = {"queues": queues, "agents": agents, "flows": flows, "operations": operations}


def lost(mine, theirs, path="dashboard"):
    """What Grafana's own types did not keep."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key, value in mine.items():
            if key not in theirs:
                yield f"{path}.{key}"
            else:
                yield from lost(value, theirs[key], f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for place, (one, other) in enumerate(zip(mine, theirs)):
            yield from lost(one, other, f"{path}[{place}]")
    elif mine != theirs:
        yield f"{path}: {mine!r} became {theirs!r}"


def check(name, text):
    file = HERE / f"{name}.json"
    written = json.loads(file.read_text())
    wrong = [f"{file}: not what make.py makes"] if file.read_text() != text else []
    again = json.loads(json.dumps(types.Dashboard.from_json(written), cls=JSONEncoder))
    wrong += [f"{file}: {what} is unknown to Grafana" for what in lost(written, again)]
    seen = set()
    for panel in written["panels"]:
        if panel["type"] != "row" and not (panel.get("description") and panel.get("targets")):
            wrong.append(f"{file}: panel {panel['title']} has no description or no query")
        if panel["title"] in seen:
            wrong.append(f"{file}: two panels are called {panel['title']}")
        seen.add(panel["title"])
    return wrong


def main():
    made = {name: json.dumps(make(), indent=1, ensure_ascii=False) + "\n" for name, make in BOARDS.items()}
    if "--check" in sys.argv:
        wrong = [problem for name, text in made.items() for problem in check(name, text)]
        print("\n".join(wrong) or f"{len(made)} dashboards are as they should be")
        sys.exit(bool(wrong))
    for name, text in made.items():
        (HERE / f"{name}.json").write_text(text)


main()
