"""PyTorch: batches and histories as its data sets; works with ``DataLoader`` and torchdata's ``StatefulDataLoader``."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset as MapDataset
from torch.utils.data import IterableDataset, get_worker_info

from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.loading import Batches, Histories, Source
from fractalrs.words import Split


class ExpansionDataset(IterableDataset[dict[str, torch.Tensor]]):
    """Batches of an expansion or a data set as tensors, divided among the workers of a loader.

    Give it to a loader with ``batch_size=None``: it makes the batches itself. Times are whole numbers of their unit.
    Columns of texts are left out, or refused where they are asked for.

    Parameters
    ----------
    source, batch_size, split, **options
        As `fractalrs.loading.Batches` takes them; a loader's workers are found by themselves, and each uses one thread
        unless ``threads`` says otherwise.
    """

    def __init__(self, source: Source, batch_size: int, split: Split = "train", **options: Any) -> None:
        self._arguments = (source, batch_size, split)
        self._options = options
        self._state: dict[str, Any] | None = None
        self._batches = Batches(*self._arguments, **options)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        info = get_worker_info()
        if info is not None:
            of_worker = {"threads": 1, **self._options, "worker": info.id, "workers": info.num_workers}
            self._batches = Batches(*self._arguments, **{**of_worker, "epoch": self._batches.epoch})
        if self._state is not None:
            self._batches.load_state_dict(self._state)
            self._state = None
        for batch in self._batches:
            tensors = {name: _tensor(array) for name, array in batch.items()}
            if "columns" in self._options and None in tensors.values():
                names = [name for name, tensor in tensors.items() if tensor is None]
                raise InputError(f"the columns {names} are no numbers, which tensors are made of", "leave them out")
            yield {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self._batches.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where the next batch begins; StatefulDataLoader asks each worker's data set."""
        return self._batches.state_dict() if self._state is None else self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on there."""
        self._state = dict(state)


class HistoryDataset(MapDataset[torch.Tensor]):
    """The items of each expanded user as a tensor: a map from users, any of them.

    Parameters
    ----------
    source, split, **options
        As `fractalrs.loading.Histories` takes them.
    """

    def __init__(self, source: Expansion, split: Split = "train", **options: Any) -> None:
        self.histories = Histories(source, split, **options)

    def __len__(self) -> int:
        return len(self.histories)

    def __getitem__(self, user: int) -> torch.Tensor:
        return torch.from_numpy(self.histories[user])

    def __getitems__(self, users: list[int]) -> list[torch.Tensor]:
        values, _, offsets = self.histories.__getitems__(users)
        return [torch.from_numpy(values[start:end]) for start, end in pairwise(offsets)]


def _tensor(array: npt.NDArray[Any]) -> "torch.Tensor | None":
    """Return an array as a tensor, without a copy where it may be written to; none where it holds no numbers."""
    numbers = array.view(np.int64) if array.dtype.kind == "M" else array
    if numbers.dtype.kind not in "iufb":
        return None
    return torch.from_numpy(numbers if numbers.flags.writeable else numbers.copy())
