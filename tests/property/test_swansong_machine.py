"""Any order of operations on a tree of swansongs, held against a model of a few lines."""

from __future__ import annotations

import gc
import warnings
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from trillium_trio.swansong import Guard, Hold, ShutdownCompletion, ShutdownState, Swansong, hold


@dataclass(eq=False)
class ModelNode:
    """What a node should be: a place in the tree, and whether it was stopped itself."""

    swansong: Swansong
    parent: ModelNode | None
    was_stopped: bool = False
    finished: int = 0

    def path(self) -> list[ModelNode]:
        return [self, *(self.parent.path() if self.parent else [])]

    @property
    def is_stopped(self) -> bool:
        return any(node.was_stopped for node in self.path())


@dataclass(eq=False)
class ModelClaim:
    """A guard or hold that should count at its node and above."""

    node: ModelNode
    real: Guard | Hold | None
    is_live: bool = True

    @property
    def is_guard(self) -> bool:
        return not isinstance(self.real, Hold)

    def end(self) -> None:
        if self.is_live and self.is_guard:
            for node in self.node.path():
                node.finished += node.is_stopped
        self.is_live = False


@dataclass(eq=False)
class ModelCompletion:
    """A completion that resolves once, as soon as its node is complete."""

    node: ModelNode
    real: ShutdownCompletion
    finished: int | None = field(default=None)


class SwansongMachine(RuleBasedStateMachine):
    nodes = Bundle("nodes")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.all_nodes: list[ModelNode] = []
        self.all_claims: list[ModelClaim] = []
        self.completions: list[ModelCompletion] = []

    def add_node(self, swansong: Swansong, parent: ModelNode | None) -> ModelNode:
        self.all_nodes.append(ModelNode(swansong, parent))
        return self.all_nodes[-1]

    def add_claim(self, node: ModelNode, real: Guard | Hold) -> ModelClaim:
        self.all_claims.append(ModelClaim(node, real))
        return self.all_claims[-1]

    def outstanding(self, node: ModelNode, *, guards_only: bool = False) -> int:
        return sum(
            claim.is_live and node in claim.node.path() and (claim.is_guard or not guards_only)
            for claim in self.all_claims
        )

    def is_complete(self, node: ModelNode) -> bool:
        return node.is_stopped and not self.outstanding(node)

    @initialize(target=nodes)
    def root(self) -> ModelNode:
        return self.add_node(Swansong(), None)

    @rule(target=nodes, parent=nodes)
    def child(self, parent: ModelNode) -> ModelNode:
        return self.add_node(parent.swansong.child(), parent)

    @rule(parent=nodes)
    def child_made_and_dropped(self, parent: ModelNode) -> None:
        parent.swansong.child()

    @rule(target=claims, node=nodes)
    def guard(self, node: ModelNode) -> ModelClaim:
        return self.add_claim(node, node.swansong.guard())

    @rule(target=claims, node=nodes)
    def guard_of_a_dropped_child(self, node: ModelNode) -> ModelClaim:
        return self.add_claim(node, node.swansong.child().guard())

    @rule(target=claims, node=nodes)
    def hold(self, node: ModelNode) -> ModelClaim:
        return self.add_claim(node, hold(node.swansong, "model"))

    @rule(target=claims, claim=claims)
    def clone(self, claim: ModelClaim) -> ModelClaim:
        if not isinstance(claim.real, Guard):
            return claim
        return self.add_claim(claim.node, claim.real.clone())

    @rule(claim=claims, times=st.integers(1, 2))
    def release(self, claim: ModelClaim, times: int) -> None:
        for _ in range(times):
            if claim.real is not None:
                claim.real.release()
        claim.end()

    @rule(claim=consumes(claims))
    def drop(self, claim: ModelClaim) -> None:
        if isinstance(claim.real, Hold):
            return
        expected = claim.is_live
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            claim.real = None
            gc.collect(0)
        assert any("never released" in str(warning.message) for warning in caught) == expected
        claim.end()

    @rule(node=nodes)
    def shut_down(self, node: ModelNode) -> None:
        node.was_stopped = True
        completion = node.swansong.shut_down()
        self.completions.append(ModelCompletion(node, completion))

    @invariant()
    def nodes_agree(self) -> None:
        for node in self.all_nodes:
            swansong = node.swansong
            guards = self.outstanding(node, guards_only=True)
            assert swansong.guard_count == guards
            assert swansong.guard_report().guard_count == guards
            assert swansong.is_running == (not node.is_stopped)
            if not node.is_stopped:
                assert swansong.state is ShutdownState.RUNNING
            elif self.outstanding(node):
                assert swansong.state is ShutdownState.SHUTTING_DOWN
            else:
                assert swansong.state is ShutdownState.COMPLETE

    @invariant()
    def completions_agree(self) -> None:
        for completion in self.completions:
            if completion.finished is None and self.is_complete(completion.node):
                completion.finished = completion.node.finished
            assert completion.real.is_complete == (completion.finished is not None)
            if completion.finished is not None:
                report = completion.real.block()
                assert report.is_clean
                assert report.finished == completion.finished

    def teardown(self) -> None:
        for claim in self.all_claims:
            if claim.real is not None:
                claim.real.release()


TestSwansongMachine = SwansongMachine.TestCase
TestSwansongMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
