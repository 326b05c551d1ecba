//! The one table of all numbers that are exported.
//!
//! A row: the name in the code, the kind, the public name, its labels, and the definition. docs/metrics.md is made
//! from it.

use super::family::{Chapter, Family, Kind};

/// Upper bounds of waits, in seconds: to two hours, dense where targets usually are.
const WAITS: &[f64] =
    &[5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0];
/// Of talks and what belongs to them.
const TALKS: &[f64] =
    &[10.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0];
/// Of steps of the engine: a caller's INVITE costs some of 100 µs.
const STEPS: &[f64] = &[0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];
/// Of writing to the disk.
const COMMITS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const JITTER: &[f64] = &[0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1.0];
const LOSS: &[f64] = &[0.0, 0.005, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0];
const ROUND_TRIPS: &[f64] = &[0.01, 0.03, 0.1, 0.2, 0.4];

macro_rules! kind {
    (counter) => {
        Kind::Counter
    };
    (gauge) => {
        Kind::Gauge
    };
    (histogram $bounds:ident) => {
        Kind::Histogram($bounds)
    };
}

macro_rules! families {
    ($($title:literal $about:literal {
        $($id:ident $kind:ident $(($bounds:ident))? $name:literal [$($label:literal),*] $help:literal;)*
    })*) => {
        $($(pub static $id: Family =
            Family { name: $name, kind: kind!($kind $($bounds)?), labels: &[$($label),*], help: $help };)*)*
        /// All of them.
        pub static CHAPTERS: &[Chapter] =
            &[$(Chapter { title: $title, about: $about, families: &[$(&$id),*] }),*];
    };
}

families! {
    "Queues" "Each wait in a queue counts once: offered = answered + abandoned + diverted + lost + those who still wait for the first time. \
              Those who wait again, since an agent's phone was lost, or the number or the agent that they were sent to did not take them, are apart (requeued); \
              of all these counts only tierline_queue_waiting and tierline_queue_longest_wait_seconds have them too." {
        QUEUE_WAITING gauge "tierline_queue_waiting" ["queue"]
            "Callers who wait now, those included for whom a phone rings, and those who wait again.";
        QUEUE_LONGEST gauge "tierline_queue_longest_wait_seconds" ["queue"]
            "Time that the caller who has waited longest in the queue has waited there; 0 if nobody waits.";
        QUEUE_OFFERED counter "tierline_queue_offered_total" ["queue"] "Callers who began to wait.";
        QUEUE_REQUEUED counter "tierline_queue_requeued_total" ["queue"]
            "Callers who wait again because the agent's phone was lost, or the number or the agent that they were sent to did not take them. They are not offered again.";
        QUEUE_ANSWERED counter "tierline_queue_answered_total" ["queue"] "A: callers who got an agent.";
        QUEUE_ANSWERED_WITHIN counter "tierline_queue_answered_within_target_total" ["queue"]
            "A_T: callers who got an agent within the queue's target time.";
        QUEUE_ABANDONED counter "tierline_queue_abandoned_total" ["queue"]
            "B: callers who hung up or vanished while waiting, short abandons included.";
        QUEUE_ABANDONED_WITHIN counter "tierline_queue_abandoned_within_target_total" ["queue"]
            "B_T: callers who left while waiting, within the queue's target time.";
        QUEUE_ABANDONED_SHORT counter "tierline_queue_abandoned_short_total" ["queue"]
            "B_s: callers who left sooner than the queue's short_abandon.";
        QUEUE_DIVERTED counter "tierline_queue_diverted_total" ["queue", "reason"]
            "Callers whom the queue gave back to the flow without an agent, and those who only rang in it for the one agent they were sent to, who did not take them (reason not_taken): they wait again where they came from.";
        QUEUE_LOST counter "tierline_queue_lost_total" ["queue"]
            "Waits that ended with the call, and not by the caller: a stop, a command, a defect. Those that a kill or a restart ended are in the records only, for all counts begin at 0 with the start.";
        QUEUE_WAIT histogram (WAITS) "tierline_queue_wait_seconds" ["queue", "outcome"]
            "Time waited in the queue, by how the wait ended: answered, abandoned or diverted. An agent who sends a caller on begins another wait.";
        QUEUE_TOLD histogram (WAITS) "tierline_queue_told_wait_error_seconds" ["queue", "wait"]
            "Time by which answered waits were longer, or shorter, than the flow first said (queue.expected); of waits of which it said something.";
        QUEUE_TALK histogram (TALKS) "tierline_queue_talk_seconds" ["queue"]
            "Time from an agent's answer to the end of that talk, hold included.";
        QUEUE_WRAP_UP histogram (TALKS) "tierline_queue_wrap_up_seconds" ["queue"]
            "Time that an agent wrote up a call of the queue; only of calls that had a wrap-up.";
        QUEUE_HANDLE histogram (TALKS) "tierline_queue_handle_seconds" ["queue"]
            "Time from an agent's answer until he is free of the call: talk, hold and wrap-up.";
        QUEUE_AGENTS gauge "tierline_queue_agents" ["queue", "state"]
            "Agents who serve the queue, by state now. Staffed are ready, reserved, busy and wrap_up; unreachable is who would be ready, but no phone of his answers and no trunk carries a call to his number.";
        QUEUE_TARGET gauge "tierline_queue_target_seconds" ["queue"] "Time T of the service level, as configured.";
        QUEUE_LEVEL gauge "tierline_queue_service_level_ratio" ["queue", "formula"]
            "Share of callers answered within the target time since the start, by the formula in the label; not there before the first wait that counts.";
    }
    "Agents" "By state and reason. The reason of a break is one of the configured ones, or `short code`, `logged out`, \
              `desktop lost`; of a rest that nobody asked for `declined`, `no answer`, `busy` or `unreachable`; `other` for free text." {
        AGENTS gauge "tierline_agents" ["state", "reason"]
            "Agents by state now; reason is none but for not_ready.";
        AGENTS_TIME counter "tierline_agents_state_seconds_total" ["state", "reason"]
            "Time that all agents together have spent in a state. Occupancy is (reserved + busy + wrap_up) / (those + ready).";
        OFFERS counter "tierline_offers_total" ["outcome"] "Agents' phones that were rung, by how it ended.";
        AGENT_STATE gauge "tierline_agent_state" ["agent", "state"]
            "1 for the agent's state. Only with agent_series.";
        AGENT_TIME counter "tierline_agent_state_seconds_total" ["agent", "state"]
            "Time that the agent has spent in a state. Only with agent_series.";
        AGENT_ANSWERED counter "tierline_agent_answered_total" ["agent"]
            "Callers whom the agent has answered. Only with agent_series.";
        AGENT_MISSED counter "tierline_agent_offers_missed_total" ["agent"]
            "Offers that the agent declined, did not answer, or could not be reached for. Only with agent_series.";
    }
    "Flows" "A call enters the flow of its line, and leaves it in one of the ways of `outcome`, so entered = the sum of \
             outcomes + calls that have not ended. What it does after a queue gave it back is not counted again." {
        FLOW_ENTERED counter "tierline_flow_entered_total" ["flow"] "Calls that came into the flow, each once. What is heard while waiting is not entered.";
        FLOW_LEFT counter "tierline_flow_left_total" ["flow", "outcome"]
            "Calls that came into the flow and have ended, by how they left it: contained (it came to its end, without a queue, an outside party or the wish for a person), queued, transferred (outside), other_flow, ended (otherwise, by the flow or a command), hung_up (by the caller), failed.";
        FLOW_STEPS counter "tierline_flow_steps_total" ["flow", "step"] "How often a step was entered.";
        FLOW_NOTHING counter "tierline_flow_nothing_chosen_total" ["flow", "reason"]
            "Turns of a menu that came to nothing: no_key within its time, or wrong_key.";
        FLOW_PERSON counter "tierline_flow_person_asked_total" ["flow"]
            "Calls in the flow in which the key was pressed that asks for a person, each once.";
        FLOW_LOOKUPS counter "tierline_flow_look_ups_total" ["flow", "outcome"]
            "Look-ups in the ticketing system, repetitions included in one: found, not_found, failed.";
    }
    "Ticketing" "Only with [ticketing] in the configuration. What waits is kept over restarts, and nothing is given up but \
                 screen-pops that are too late." {
        TICKETING_ANSWERED counter "tierline_ticketing_answered_total" [] "Requests that the ticketing system answered.";
        TICKETING_RETRIED counter "tierline_ticketing_retried_total" []
            "Attempts to reach the ticketing system that failed and are made again.";
        TICKETING_REFUSED counter "tierline_ticketing_refused_total" []
            "Requests that the ticketing system refused for ever.";
        TICKETING_EXPIRED counter "tierline_ticketing_pops_expired_total" []
            "Screen-pops that were dropped, because they were too old or their offer was over.";
        TICKETING_WAITING gauge "tierline_ticketing_waiting" []
            "Requests to the ticketing system that wait or are under way.";
        TICKETING_ASIDE gauge "tierline_ticketing_aside" []
            "Calls put aside: something of them is not taken, while what others bring is. They are tried again, one at a time.";
        TICKETING_LAG gauge "tierline_ticketing_lag_seconds" []
            "Time that the oldest request which waits, also of a call that is put aside, has waited.";
    }
    "Calls" "Every call that was admitted ends exactly once, if need be at the next start." {
        CALLS gauge "tierline_calls" ["phase"] "Calls that run now, by how far they have come.";
        CALLS_ARRIVED counter "tierline_calls_arrived_total" ["line"]
            "Calls admitted, by the line that was dialed; (short code) for agents' codes.";
        CALLS_ENDED counter "tierline_calls_ended_total" ["phase", "cause"]
            "Calls that ended, by how far they had come and why they ended; after a kill also those of the process before, by the cause restart.";
        CALLS_REFUSED counter "tierline_calls_refused_total" ["reason"]
            "Callers who were turned away with 503: full by limits.calls (calls) or server.sip.limits (sip); no port for audio (ports); the log cannot be written (log); what a trunk may bring (trunk); strangers who call too often (strangers); a stop (drain). Not who must wait because his proofs have failed.";
        TRANSFERS counter "tierline_transfers_total" ["to"] "Callers whom agents sent on: to a queue, an agent or a number.";
        TRANSFERS_FAILED counter "tierline_transfers_failed_total" ["reason"]
            "Callers whom a flow or an agent could not transfer outside, by reason.";
        REPAIRS counter "tierline_repairs_total" []
            "How often an inner error ended a call or made the engine rebuild a machine. Each one is a defect.";
        DRAINING gauge "tierline_draining" [] "1 while no new calls are taken because the stop was asked for.";
    }
    "Trunks" "Only with trunks in the configuration." {
        TRUNK_STATE gauge "tierline_trunk_state" ["trunk", "state"]
            "1 for the state of the trunk's server, as OPTIONS and calls tell: unknown, up or down.";
        TRUNK_REGISTERED gauge "tierline_trunk_registered" ["trunk"]
            "1 while our registration at the trunk holds; only of trunks that register.";
        TRUNK_FAILURES counter "tierline_trunk_failures_total" ["trunk"]
            "Calls that went on to another trunk, or to none, because this one did not carry them.";
        TRUNK_CALLS gauge "tierline_trunk_calls" ["trunk", "direction"] "Calls over the trunk that run now.";
        TRUNK_CALLS_TOTAL counter "tierline_trunk_calls_total" ["trunk", "direction"]
            "Calls that the trunk's limits let through.";
        TRUNK_REFUSED counter "tierline_trunk_refused_total" ["trunk", "direction", "reason"]
            "Calls that the trunk's limits refused: calls at once, or rate.";
    }
    "Router" "What the machine that chooses agents has done." {
        ROUTER_OFFERS counter "tierline_router_offers_total" [] "Offers of work to agents.";
        ROUTER_ACCEPTED counter "tierline_router_accepted_total" [] "Offers that were accepted.";
        ROUTER_IGNORED counter "tierline_router_ignored_total" []
            "Inputs about what does not exist any more: answers that came too late, mostly.";
        ROUTER_WAITING gauge "tierline_router_waiting" [] "Work that waits in all queues.";
        ROUTER_RESERVATIONS gauge "tierline_router_reservations" [] "Agents held for a work now.";
    }
    "SIP" "Methods that are not known here count as other, codes that no document knows by their class: 4xx." {
        SIP_REQUESTS_IN counter "tierline_sip_requests_received_total" ["method"] "Requests that came, repetitions apart.";
        SIP_REQUESTS_OUT counter "tierline_sip_requests_sent_total" ["method"] "Requests that we sent, repetitions apart.";
        SIP_RESPONSES_IN counter "tierline_sip_responses_received_total" ["method", "code"] "Responses that came.";
        SIP_RESPONSES_OUT counter "tierline_sip_responses_sent_total" ["method", "code"]
            "Responses that we sent; method unread for those to what could not be read.";
        SIP_REPEATED_IN counter "tierline_sip_retransmissions_received_total" [] "Requests that came again.";
        SIP_REPEATED_OUT counter "tierline_sip_retransmissions_sent_total" [] "Messages that we sent again.";
        SIP_OVERLOADS counter "tierline_sip_overloads_total" [] "Requests refused with 503 for lack of room, or in a drain.";
        SIP_REFUSALS counter "tierline_sip_refusals_total" ["reason"] "Messages that could not be read, by reason.";
        SIP_STRAYS counter "tierline_sip_strays_total" ["kind"]
            "Messages that belong to nothing: responses without a transaction, acks without a dialog.";
        SIP_DROPPED counter "tierline_sip_datagrams_dropped_total" []
            "Datagrams that the system dropped unread, because too many were waiting.";
        SIP_BINDINGS gauge "tierline_sip_bindings" [] "Registered phones.";
        SIP_LEGS gauge "tierline_sip_legs" [] "Legs with an INVITE or a dialog.";
        SIP_TRANSACTIONS gauge "tierline_sip_transactions" [] "Transactions that are not over.";
        SIP_REGISTRATIONS counter "tierline_sip_registrations_total" ["outcome"]
            "Bindings of phones that were made or renewed (bound), refused, or ended, by reason.";
        SIP_AUTH_FAILURES counter "tierline_sip_auth_failures_total" ["reason"]
            "Proofs of identity that were worth nothing, by reason.";
        SIP_STALE counter "tierline_sip_stale_nonces_total" [] "Proofs with a nonce that was too old or used before.";
        SIP_BANNED gauge "tierline_sip_banned" ["of"] "Addresses, and users, that are banned now.";
        SIP_BANS counter "tierline_sip_bans_total" ["of"] "Bans of addresses, and of users.";
        SIP_BANNED_MESSAGES counter "tierline_sip_banned_messages_total" []
            "Messages from banned addresses, dropped unread.";
        SIP_STRANGERS_REFUSED counter "tierline_sip_strangers_refused_total" []
            "Calls of strangers that came too often, answered 503 and not written down.";
        SIP_CONNECTIONS gauge "tierline_sip_connections" ["transport"] "Connections that are open.";
        SIP_ACCEPTED counter "tierline_sip_connections_accepted_total" ["transport"] "Connections that came.";
        SIP_OPENED counter "tierline_sip_connections_opened_total" ["transport"] "Connections that we made.";
        SIP_CONNECTIONS_REFUSED counter "tierline_sip_connections_refused_total" ["limit"]
            "Connections that were refused, by the limit that was reached: in total, or of one address.";
        SIP_CONNECTIONS_ENDED counter "tierline_sip_connections_ended_total" ["reason"]
            "Connections that ended, by reason.";
        SIP_HANDSHAKES counter "tierline_sip_tls_handshakes_failed_total" ["side"]
            "TLS handshakes that failed, accepting or connecting.";
        SIP_RELOADS counter "tierline_sip_tls_reloads_total" ["outcome"]
            "Certificates that were read again, and used or refused.";
        SIP_NAMES counter "tierline_sip_names_failed_total" [] "Host names that led nowhere.";
    }
    "RTP" "A plane is one of the threads that carry audio." {
        MEDIA_PORTS gauge "tierline_media_ports" ["plane"] "Open ports: one for each leg.";
        MEDIA_BRIDGES gauge "tierline_media_bridges" ["plane"] "Pairs of ports that hear each other.";
        MEDIA_IN counter "tierline_media_packets_received_total" ["plane"] "RTP packets taken.";
        MEDIA_OUT counter "tierline_media_packets_sent_total" ["plane"] "RTP packets sent.";
        MEDIA_FORWARDED counter "tierline_media_packets_forwarded_total" ["plane"] "RTP packets passed on within a bridge.";
        MEDIA_TRANSCODED counter "tierline_media_packets_transcoded_total" ["plane"] "RTP packets that went on in another codec.";
        MEDIA_TRANSCODING gauge "tierline_media_transcoded_legs" ["plane"] "Legs that hear what was said in another codec.";
        MEDIA_LOST counter "tierline_media_packets_lost_total" ["plane"]
            "RTP packets that never came, of legs that have ended.";
        MEDIA_DROPPED counter "tierline_media_packets_dropped_total" ["plane", "reason"] "RTP and RTCP packets not used, by reason.";
        MEDIA_UNSENT counter "tierline_media_packets_unsent_total" ["plane"] "Packets that the system would not take.";
        MEDIA_ROBBED counter "tierline_media_rtcp_ports_lost_total" ["plane"]
            "Legs without RTCP: they shared a port until a re-INVITE, and the second was taken meanwhile.";
        MEDIA_CONCEALED counter "tierline_media_frames_concealed_total" ["plane"]
            "Frames of 20 ms in which something lost or late had to be made up.";
        MEDIA_JITTER histogram (JITTER) "tierline_media_leg_jitter_seconds" ["plane"]
            "Interarrival jitter of what a leg's peer sent, of legs that have ended.";
        MEDIA_LOSS histogram (LOSS) "tierline_media_leg_loss_ratio" ["plane"]
            "Share of a leg's packets that never came, of legs that have ended.";
        MEDIA_ROUND_TRIP histogram (ROUND_TRIPS) "tierline_media_leg_round_trip_seconds" ["plane"]
            "Time to a leg's peer and back, by the last RTCP report that told it, of legs that have ended.";
        MEDIA_PEER_LOST counter "tierline_media_peer_packets_lost_total" ["plane"]
            "RTP packets of ours that never came where they went, by RTCP reports from there, of legs that have ended.";
        MEDIA_REPORTS_IN counter "tierline_media_reports_received_total" ["plane"] "RTCP packets taken.";
        MEDIA_REPORTS_OUT counter "tierline_media_reports_sent_total" ["plane"] "RTCP packets sent.";
        MEDIA_ONE_WAY counter "tierline_media_one_way_total" ["plane"]
            "Legs whose peer was not heard while it was sent to.";
        MEDIA_LATE counter "tierline_media_late_ticks_total" ["plane"] "Ticks of 20 ms that came more than one late.";
    }
    "Log and store" "The event log is what everything else is made from." {
        LOG_HEALTHY gauge "tierline_log_healthy" [] "1 while new calls may be taken as far as the event log goes.";
        LOG_QUEUED gauge "tierline_log_queued_events" [] "Events that wait in memory to be written.";
        LOG_LIMIT gauge "tierline_log_queue_limit_events" [] "From here on no new calls are taken.";
        LOG_SEQ gauge "tierline_log_committed_seq" [] "Number of the last event that is safe on disk.";
        LOG_COMMITS counter "tierline_log_commits_total" [] "Groups of events written.";
        LOG_COMMIT_TIME histogram (COMMITS) "tierline_log_commit_seconds" [] "Time that one group took to be safe on disk.";
        LOG_FAILURES counter "tierline_log_failures_total" [] "Groups that had to be written again.";
        LOG_LOST counter "tierline_log_lost_events_total" [] "Events that are not in the log. Each one is a gap in the records.";
        LOG_SIZE gauge "tierline_log_size_bytes" [] "Size of the event log on disk, with what SQLite has not moved into it yet.";
        DATA_FREE gauge "tierline_data_free_bytes" [] "Free bytes where the data directory is.";
        DATA_SIZE gauge "tierline_data_capacity_bytes" [] "All bytes where the data directory is.";
        RECORDS_LAG_EVENTS gauge "tierline_records_lag_events" []
            "Events that are in the log and not yet in the records, from which reports are made. Some at most times, for the records follow half a second behind, and two under load.";
        RECORDS_LAG gauge "tierline_records_lag_seconds" []
            "Time that has passed on the events' clock since the first event that the records lack; 0 if they lack none.";
        RECORDS_SIZE gauge "tierline_records_size_bytes" [] "Size of the records on disk, with what SQLite has not moved into them yet.";
        KEEP_EVENTS counter "tierline_keep_events_removed_total" [] "Events removed from the log, because they are old.";
        KEEP_ROWS counter "tierline_keep_rows_removed_total" [] "Rows removed from the records, because they are old.";
        KEEP_TEXTS counter "tierline_keep_texts_erased_total" [] "Numbers, keys and notes erased while the server ran, because their time was over; what a start finds expired it erases first.";
        KEEP_FAILURES counter "tierline_keep_failures_total" [] "Times that what is old could not be removed, or numbers, keys and notes not be erased; it is tried again in an hour.";
        KEEP_FAILING gauge "tierline_keep_failing" [] "1 if what is old could not be removed or erased the last time.";
        CLOCK_JUMPS counter "tierline_clock_jumps_total" [] "Jumps of the system's clock by more than a second.";
        CLOCK_JUMPED gauge "tierline_clock_jumped_seconds" []
            "By how much the system's clock has jumped since the start, all jumps added. Events keep the time of the start.";
        CLOCK_DOUBTED gauge "tierline_clock_doubted_seconds" []
            "By how much the system's clock is ahead of the time that is believed, by which what is old is judged; 0 while the clock itself is believed.";
    }
    "Engine and process" "One thread decides everything about calls: what it costs, and what waits for it." {
        ENGINE_STEP histogram (STEPS) "tierline_engine_step_seconds" []
            "Time of one step: an input, and everything that followed from it.";
        ENGINE_BUSY counter "tierline_engine_busy_seconds_total" [] "Time that the engine's thread has spent in steps, and in sending what they said; 1 in a second is its limit.";
        ENGINE_BACKLOG gauge "tierline_engine_backlog" ["of"]
            "What waits for the engine's thread: datagrams read and not handled, and messages of all other kinds.";
        ENGINE_ANSWERS gauge "tierline_engine_answers" []
            "1 if the engine's thread has answered this scrape within two seconds; if not, its own numbers (SIP, router, trunks, draining) are not there.";
        DEFECTS counter "tierline_defects_total" ["part"]
            "Mistakes of ours that were caught outside of calls, by the part or the thread that had them. Calls went on.";
        THREAD_ALIVE gauge "tierline_thread_alive" ["thread"]
            "1 while a thread beside the calls runs, 0 while it is not there: it panicked and begins again ten seconds later.";
        BUILD gauge "tierline_build_info" ["version"] "1, with the version of the program.";
        STARTED gauge "process_start_time_seconds" [] "Time of the start, since 1970.";
        CPU counter "process_cpu_seconds_total" [] "Time of processors used by the process, user and system.";
        MEMORY gauge "process_resident_memory_bytes" [] "Memory that the process has in use.";
        OPEN_FDS gauge "process_open_fds" [] "Open file descriptors.";
        MAX_FDS gauge "process_max_fds" [] "File descriptors that may be open at most.";
    }
}
