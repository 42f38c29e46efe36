r"""What makes a flow map one: five identities, each with its residual.

With V = V(z_t; t, s) as in `process.flow_map`, v the slope of the flow at z_t, and t, s, m written
for the angles of these levels:

    diagonal     V(z_t; t, t) = v(z_t, t)
    semigroup    sin(s-t) V(t,s) = cos(s-m) sin(m-t) V(t,m) + sin(s-m) (V(m,s) + sin(m-t) z_t)
    Lagrangian   cos(s-t) V - sin(s-t) z_t + sin(s-t) dV/ds = V(z_s; s, s)
    Eulerian     cos(s-t) (v - V) + sin(s-t) (z_t + dV/dt) = 0    with d/dt = v . d/dz + d/dt
    consistency  z_s from z_t and from z_r are the same, r on the flow of t

The first fixes the flow, and each of the others then fixes the map: the semigroup says that two
steps are one (progressive distillation, Salimans & Ho 2022; shortcut models, Frans et al. 2025),
the Lagrangian that the end moves along the flow (Boffi et al. 2025), the Eulerian that it stays
where it is as the start moves (MeanFlow, Geng et al. 2025; sCM, Lu & Song 2024, where s is clean),
and the last is its difference quotient (consistency models, Song et al. 2023; Geng et al. 2024).

Each function returns left minus right, like z_t; the residuals of an exact flow map are 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .angle import UNIT_V, level_at_angle, norm, turn, unit_state, velocity
from .flow_map import FlowMap
from .path import Level
from .prediction import Predict, Prediction

_State = Float[Tensor, "b *shape"]
_Jump = Callable[[Tensor, Level, Level], Prediction]
"""The jumps of a flow map, given a condition if it takes one."""


def diagonal_residual(
    flow_map: FlowMap,
    predict: Predict,
    x_t: _State,
    t: Level,
    condition: Tensor | None = None,
) -> _State:
    """V(z_t; t, t) - v(z_t, t).

    Args:
        flow_map: the flow map.
        predict: the flow, on the same path.
        x_t: states.
        t: their Level.
        condition: one row per item, or None.
    """
    own = velocity(flow_map.jump(x_t, t, t, condition))
    return own - velocity(predict(x_t, t, condition))


def two_steps(z_t: _State, first: _State, second: _State, before: Tensor, after: Tensor) -> _State:
    """V of two steps as one: the right side of the semigroup identity, divided by sin(s - t).

    Args:
        z_t: the unit state.
        first: V(z_t; t, m).
        second: V(z_m; m, s).
        before: m - t, the difference of angles.
        after: s - m.
    """
    mean = torch.cos(after) * torch.sin(before) * first
    return (mean + torch.sin(after) * (second + torch.sin(before) * z_t)) / torch.sin(
        before + after
    )


def by_way_of(jump: _Jump, x_t: _State, t: Level, m: Level, s: Level) -> _State:
    """V of the jumps from t to m and from m to s as one.

    Args:
        jump: the jumps of a flow map, or the steps of a denoiser.
        x_t: states.
        t: their Level.
        m: the Level between.
        s: the Level to reach.
    """
    first = jump(x_t, t, m)
    second = jump(first.at(m), m, s)
    before, after = turn(t, m, x_t), turn(m, s, x_t)

    return two_steps(unit_state(x_t, t), velocity(first), velocity(second), before, after)


def semigroup_residual(
    flow_map: FlowMap,
    x_t: _State,
    t: Level,
    m: Level,
    s: Level,
) -> _State:
    """V(z_t; t, s) - that of the two steps by way of m.

    Args:
        flow_map: the flow map.
        x_t: states.
        t: their Level.
        m: a Level between, or anywhere.
        s: the Level to reach, at another angle than t.
    """
    return velocity(flow_map.jump(x_t, t, s)) - by_way_of(flow_map.jump, x_t, t, m, s)


def with_end_slope(jump: _Jump, x_t: _State, t: Level, s: Tensor) -> tuple[_State, _State]:
    """V(z_t; t, s) and dV/ds, by forward differentiation in one number per item.

    Args:
        jump: the jumps of a flow map.
        x_t: states.
        t: their Level.
        s: the angles of the Level to reach, (b,).
    """

    def of_end(theta: Tensor) -> Tensor:
        return velocity(jump(x_t, t, level_at_angle(t.path, theta, x_t)))

    return _jvp(of_end, (s,), (torch.ones_like(s),))


def with_start_slope(
    jump: _Jump,
    x_t: _State,
    t: Tensor,
    s: Level,
    slope: _State,
) -> tuple[_State, _State]:
    """V(z_t; t, s) and dV/dt along the flow, by forward differentiation in state and angle.

    Args:
        jump: the jumps of a flow map.
        x_t: states.
        t: the angles of their Level, (b,).
        s: the Level to reach.
        slope: v, the slope dz/dtheta of the flow at z_t.
    """
    path = s.path

    def of_start(z: Tensor, theta: Tensor) -> Tensor:
        level = level_at_angle(path, theta, z)
        return velocity(jump(norm(level) * z, level, s))

    z = unit_state(x_t, level_at_angle(path, t, x_t))
    return _jvp(of_start, (z, t), (slope, torch.ones_like(t)))


def lagrangian_residual(flow_map: FlowMap, x_t: _State, t: Level, s: Tensor) -> _State:
    """cos(s-t) V - sin(s-t) z_t + sin(s-t) dV/ds - V(z_s; s, s).

    Args:
        flow_map: the flow map.
        x_t: states.
        t: their Level.
        s: the angles of the Level to reach, (b,).
    """
    value, slope = with_end_slope(flow_map.jump, x_t, t, s)
    there = level_at_angle(t.path, s, x_t)
    d = turn(t, there, x_t)

    x_s = Prediction.solve(UNIT_V, value, x_t, t).at(there)
    own = velocity(flow_map.jump(x_s, there, there))
    return end_velocity(unit_state(x_t, t), value, slope, d) - own


def end_velocity(z_t: _State, value: _State, slope: _State, d: Tensor) -> _State:
    """dz_s/ds of z_s = cos(d) z_t + sin(d) V, with d = s - t.

    Args:
        z_t: the unit state.
        value: V.
        slope: dV/ds.
        d: s - t.
    """
    return torch.cos(d) * value + torch.sin(d) * (slope - z_t)


def eulerian_residual(
    flow_map: FlowMap,
    predict: Predict,
    x_t: _State,
    t: Tensor,
    s: Level,
) -> _State:
    """cos(s-t) (v - V) + sin(s-t) (z_t + dV/dt).

    Args:
        flow_map: the flow map.
        predict: the flow, on the same path.
        x_t: states.
        t: the angles of their Level, (b,).
        s: the Level to reach.
    """
    here = level_at_angle(s.path, t, x_t)
    v = velocity(predict(x_t, here))
    value, slope = with_start_slope(flow_map.jump, x_t, t, s, v)
    d = turn(here, s, x_t)
    return torch.cos(d) * (v - value) + torch.sin(d) * (unit_state(x_t, here) + slope)


def consistency_residual(
    flow_map: FlowMap,
    one: tuple[_State, Level],
    other: tuple[_State, Level],
    s: Level,
) -> _State:
    """z_s from z_t minus z_s from z_r, divided by the angle t - r.

    Args:
        flow_map: the flow map.
        one: states x_t and their Level t.
        other: states x_r on the flow through x_t, and their Level r.
        s: the Level that both reach.
    """
    (x_t, t), (x_r, r) = one, other
    ends = flow_map.jump(x_t, t, s).at(s) - flow_map.jump(x_r, r, s).at(s)
    return unit_state(ends, s) / turn(r, t, x_t)


def _jvp(
    function: Callable[..., Tensor], at: tuple[Tensor, ...], along: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    value, slope, *_ = torch.func.jvp(function, at, along)
    return value, slope
