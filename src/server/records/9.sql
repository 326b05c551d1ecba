-- Version 9: what is heard while waiting is a path of its own, also in the flow that led to the queue. Who hung up there had
-- left the flow for the queue. The steps and the time of both stay together in rows of earlier versions: where one ended is
-- known to the log only, and `tierline records rebuild` makes it of it.
UPDATE flow_path SET (exit, exit_to) = (
        SELECT 'queue', q.queue FROM queue_interval q WHERE q.call = flow_path.call AND q.ended = flow_path.ended
        ORDER BY q.n DESC LIMIT 1)
    WHERE waiting = 0 AND exit IN ('answered', 'diverted', 'hung_up', 'failed') AND EXISTS (
        SELECT 1 FROM queue_interval q WHERE q.call = flow_path.call AND q.ended = flow_path.ended);
