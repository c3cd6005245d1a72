"""Users held out: whole, as many as asked for, the same ones whatever the order of the file."""

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr


def ids(interactions: fr.Interactions) -> set[int]:
    return set(interactions.table["user_id"].to_pylist())


def test_users_are_divided_whole() -> None:
    everybody = fr.sample_interactions(101, 60, 2_000)
    members, controls = fr.hold_users_out(everybody, 0.3, seed=4)
    assert len(ids(controls)) == 30
    assert ids(members) | ids(controls) == ids(everybody)
    assert not ids(members) & ids(controls)
    assert len(members) + len(controls) == len(everybody)


def test_the_order_of_the_file_does_not_matter_and_the_seed_does() -> None:
    everybody = fr.sample_interactions(80, 60, 1_000)
    turned = fr.Interactions(everybody.table.take(pa.array(np.random.default_rng(1).permutation(len(everybody)))))
    chosen = [ids(fr.hold_users_out(one, 0.5, seed=9)[1]) for one in (everybody, turned)]
    assert chosen[0] == chosen[1]
    assert chosen[0] != ids(fr.hold_users_out(everybody, 0.5, seed=10)[1])


@pytest.mark.parametrize("share", [0, 1, -0.1, "half", True, float("nan")])
def test_what_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(fr.InputError, match="share of users held out"):
        fr.hold_users_out(fr.sample_interactions(20, 20, 100), share)  # type: ignore[arg-type]


def test_a_share_that_holds_nobody_out_is_refused() -> None:
    with pytest.raises(fr.InputError, match="holds 0 out; at least one must be"):
        fr.hold_users_out(fr.sample_interactions(20, 20, 100), 0.01)
