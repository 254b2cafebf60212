"""Optimiser states survive as tensors and JSON, and only fit the optimisers that they came from."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from avatarkit.errors import InputError
from avatarkit.training.state import pack, unpack


def stepped(seed: int, outputs: int = 2) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    net = nn.Linear(3, outputs)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return net, optimiser


def test_a_restored_optimiser_takes_the_same_step() -> None:
    (net, optimiser), (twin, fresh) = stepped(0), stepped(1)
    tensors, plain = pack({"nets": optimiser})
    copied = {name: tensor.clone() for name, tensor in tensors.items()}
    unpack({"nets": fresh}, copied, json.loads(json.dumps(plain)), "here")
    twin.load_state_dict(net.state_dict())
    for one, its in ((net, optimiser), (twin, fresh)):
        one.zero_grad()
        (one(torch.tensor([[1.0, 2.0, 3.0]])) ** 2).sum().backward()
        its.step()
    assert torch.equal(net.weight, twin.weight)


def test_states_of_others_are_refused() -> None:
    tensors, plain = pack({"nets": stepped(0)[1]})
    with pytest.raises(InputError, match=r"here: holds the optimisers \['nets'\], not \['other'\]"):
        unpack({"other": stepped(0)[1]}, tensors, plain, "here")
    for values in ([], {"x": {}}, {"0": 1}):
        edited = {"nets": {**plain["nets"], "values": values}}
        with pytest.raises(InputError, match="here: the state of the optimiser nets does not fit"):
            unpack({"nets": stepped(0)[1]}, tensors, edited, "here")
    more = torch.optim.AdamW([*nn.Linear(3, 2).parameters(), nn.Parameter(torch.zeros(1))])
    with pytest.raises(InputError, match="here: the state of the optimiser nets does not fit"):
        unpack({"nets": more}, tensors, plain, "here")
