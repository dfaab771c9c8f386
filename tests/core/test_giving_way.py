"""How many run at once, and what is computed again: the law against a replay of vLLM's rules, block by block.

In each step those that run get their next token first; where blocks are missing, the one that began last gives its own
back and heads the queue. Unless one did, whoever waits longest begins as soon as what it holds fits in free blocks.
"""

from collections import deque
from dataclasses import dataclass
from random import Random

import pytest

from inferplan.core.speed.load import Load

BLOCK = 16


@dataclass
class Request:
    prompt: int
    answer: int
    said: int = 0

    @property
    def held(self) -> int:
        return -(-(self.prompt + self.said + 1) // BLOCK)


@dataclass
class Replayed:
    running: float
    recomputed: float


def replay(*, slots: int, clients: int, prompt: int, answer: int, requests: int = 600) -> Replayed:
    """Lengths from 80 to 120 % of the mean, a pool for so many of full length; the first third is left out."""
    rng = Random(7)
    free = slots * (prompt + answer) // BLOCK

    def drawn(length: int) -> int:
        return round(length * rng.uniform(0.8, 1.2))

    queue = deque(Request(drawn(prompt), drawn(answer)) for _ in range(clients))
    running: list[Request] = []
    ran, again, done, steps = 0, 0, 0, 0
    while done < requests:
        gave, n = False, 0
        while n < len(running):
            one, before = running[n], running[n].held
            one.said += 1
            while one.held - before > free and running[-1] is not one:
                last = running.pop()
                free, gave, again = free + last.held, True, again + (done > requests / 3) * (last.prompt + last.said)
                queue.appendleft(last)
            if one.held - before > free:
                running.pop()
                one.said -= 1
                free, gave, again = free + before, True, again + (done > requests / 3) * (one.prompt + one.said)
                queue.appendleft(one)
                break
            free -= one.held - before
            n += 1
        ended = [one for one in running if one.said >= one.answer]
        free += sum(one.held for one in ended)
        running = [one for one in running if one.said < one.answer]
        queue.extend(Request(drawn(prompt), drawn(answer)) for _ in ended)
        while not gave and queue and queue[0].held <= free:
            running.append(queue.popleft())
            free -= running[-1].held
        done += len(ended)
        if done > requests / 3:
            steps, ran = steps + 1, ran + len(running)
    return Replayed(running=ran / steps, recomputed=again / (requests * 2 / 3) / prompt)


@pytest.mark.parametrize(("prompt", "answer"), [(1024, 256), (1024, 1024), (2048, 256), (256, 512)])
def test_as_many_run_as_fit_half_way_through_their_answers_and_grow_at_the_cost_of_others(
    prompt: int, answer: int
) -> None:
    """Pool / (prompt + answer / 2) run; about the tokens of an answer are computed again for each request."""
    slots = 40
    fit = slots * (prompt + answer) / (prompt + answer / 2)
    clients = int(1.5 * fit)
    found = replay(slots=slots, clients=clients, prompt=prompt, answer=answer)
    load = Load(
        sequences=clients,
        context=prompt + answer / 2,
        input_tokens=prompt,
        output_tokens=answer,
        slots=fit,
        preempts=True,
    )
    assert found.running == pytest.approx(load.running, rel=0.05)
    assert 0.4 * load.recomputed <= found.recomputed <= 1.2 * load.recomputed


def test_nobody_gives_way_where_fewer_ask_than_fit_half_way_through_their_answers() -> None:
    """40 of full length, 53 half way through as long answers as prompts: 47 run, and none is computed again."""
    found = replay(slots=40, clients=47, prompt=512, answer=512)
    assert found.running == pytest.approx(47, rel=0.01)
    assert found.recomputed < 0.02
