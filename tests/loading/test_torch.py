"""PyTorch's loaders over expansions: workers divide an epoch, and go on where they stopped."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from fractalrs.expansion import Expansion
from fractalrs.loading import Batches, mix
from helpers.folders import small_expansion

pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def torch() -> Any:
    return import_module("torch")


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


def pairs_of(batches: list[dict[str, Any]]) -> list[tuple[int, int]]:
    columns = ([batch[name].tolist() for name in ("user_id", "item_id")] for batch in batches)
    return [pair for users, items in columns for pair in zip(users, items, strict=True)]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, "window"])
def test_a_loader_gives_every_interaction_once(torch: Any, expansion: Expansion, workers: int, shuffle: Any) -> None:
    from fractalrs.torch import ExpansionDataset

    data = ExpansionDataset(expansion, 500, shuffle=shuffle, window=2_000)
    batches = list(torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers))
    table = expansion.table(0, 600)
    wanted = {name: table[name].to_numpy() for name in table.column_names}
    assert sorted(pairs_of(batches)) == sorted(pairs_of([wanted]))
    if workers == 0:
        of_numpy = list(Batches(expansion, 500, shuffle=shuffle, window=2_000))
        assert pairs_of(batches) == pairs_of(of_numpy)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stateful_loader_goes_on_where_it_stopped(expansion: Expansion, workers: int) -> None:
    stateful = import_module("torchdata.stateful_dataloader")
    from fractalrs.torch import ExpansionDataset

    def loader() -> Any:
        data = ExpansionDataset(expansion, 300, shuffle="window", window=2_000)
        return stateful.StatefulDataLoader(data, batch_size=None, num_workers=workers)

    whole = [pairs_of([batch]) for batch in loader()]
    for stop in range(0, len(whole), max(1, len(whole) // 20)):
        interrupted, resumed, head = loader(), loader(), []
        for number, batch in enumerate(interrupted):
            if number == stop:
                break
            head.append(pairs_of([batch]))
            state = interrupted.state_dict()
        if stop:
            resumed.load_state_dict(state)
        assert [*head, *(pairs_of([batch]) for batch in resumed)] == whole


def test_histories_are_tensors(torch: Any, expansion: Expansion) -> None:
    from fractalrs.torch import HistoryDataset

    data = HistoryDataset(expansion, max_length=5)
    assert len(data) == 600
    items = expansion.table(7, 8)["item_id"].to_numpy()[-5:]
    assert np.array_equal(data[7].numpy(), items)
    loader = torch.utils.data.DataLoader(data, batch_size=4, num_workers=2, collate_fn=lambda some: some)
    made = [history for batch in loader for history in batch]
    assert len(made) == 600
    assert np.array_equal(made[7].numpy(), items)


def test_a_tensor_step_learns_from_it(torch: Any, expansion: Expansion) -> None:
    from fractalrs.torch import ExpansionDataset

    torch.manual_seed(0)
    users, items = (torch.nn.Embedding(count, 8) for count in expansion.shape)
    optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=0.05)
    losses = []
    for epoch in range(3):
        data = ExpansionDataset(expansion, 2_000, shuffle="window", epoch=epoch)
        for batch in torch.utils.data.DataLoader(data, batch_size=None):
            negatives = torch.from_numpy(expansion.negatives(batch["user_id"].numpy(), 1, seed=epoch)[:, 0])
            of_user = users(batch["user_id"])
            better = (of_user * (items(batch["item_id"]) - items(negatives))).sum(1)
            loss = -torch.nn.functional.logsigmoid(better).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_a_loader_takes_a_mixture(torch: Any, expansion: Expansion) -> None:
    mixture = mix(expansion.base, expansion, 0.5, batch_size=500)

    class Mixed(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Any:
            for batch in mixture:
                yield {name: torch.tensor(batch[name].to_numpy(zero_copy_only=False)) for name in batch.schema.names}

    batches = list(torch.utils.data.DataLoader(Mixed(), batch_size=None))
    assert sum(len(batch["item_id"]) for batch in batches) == mixture.real_count + mixture.synthetic_count
    assert batches[0]["weight"].dtype == torch.float32
