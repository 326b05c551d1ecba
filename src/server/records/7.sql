-- Version 7: who was sent to one agent who did not take him is told apart from whom that agent talked with.
UPDATE transfer SET result = coalesce((
        SELECT CASE
            WHEN EXISTS (SELECT 1 FROM offer o WHERE o.call = q.call AND o.work = q.work AND o.agent = transfer.to_agent
                AND o.outcome IN ('Declined', 'NoAnswer', 'Unreachable', 'Withdrawn')) THEN 'not_taken'
            WHEN q.outcome = 'answered' AND q.agent = transfer.to_agent THEN 'done'
            WHEN q.outcome IN ('answered', 'diverted') THEN 'not_taken'
            ELSE 'ended' END
        FROM queue_interval q WHERE q.call = transfer.call AND q.began >= transfer.at ORDER BY q.n LIMIT 1), result)
    WHERE kind = 'agent' AND result = 'done';
