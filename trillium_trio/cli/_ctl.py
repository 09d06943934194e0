"""``trillium-trio ctl``: commands for a running supervisor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from ..supervisor import call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ctl", "status_lines"]

_COMMANDS: Final = ("status", "roll", "scale", "upgrade", "report", "drain")


@click.command(
    context_settings={"auto_envvar_prefix": "TRILLIUM", "help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 failed, 2 usage, 3 nobody listens there.",
)
@click.option(
    "--control",
    required=True,
    type=click.Path(),
    metavar="PATH",
    help="The socket that the server was given as --control.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Wait no longer for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.argument("command", type=click.Choice(_COMMANDS))
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.pass_context
def ctl(context: click.Context, /, command: str, number: int | None, **options: object) -> None:
    r"""Give a command to the supervisor of a server with --workers.

    \b
    status    its workers, and their figures
    roll      replace all workers, without a gap; waits until it is done
    scale N   have N workers
    upgrade   hand over to a new supervisor
    report    what is in progress in each worker
    drain     stop, as SIGTERM
    """
    control, timeout = context.params["control"], context.params["timeout"]
    if (number is not None) != (command == "scale"):
        raise click.UsageError("scale needs a number, and no other command has one")
    try:
        answer = call(control, {"do": command, "number": number}, timeout=timeout)
    except (OSError, ValueError) as error:
        click.echo(f"Error: {control}: {error or 'no answer'}", err=True)
        context.exit(3)
    state = answer.get("state")
    if options["as_json"]:
        click.echo(json.dumps(answer))
    elif isinstance(state, dict):
        click.echo("\n".join(status_lines(state)))
    elif text := answer.get("text"):
        click.echo(str(text), err=not answer.get("ok"))
    context.exit(0 if answer.get("ok") else 1)


def status_lines(state: Mapping[str, object]) -> list[str]:
    """Return the state of a supervisor as a table."""
    doing = f", {state['doing']} in progress" if state.get("doing") else ""
    rows: list[Sequence[object]] = [
        ("slot", "pid", "state", "age", "silent", "connections", "requests", "in flight", "MiB")
    ]
    workers = state.get("workers")
    for each in workers if isinstance(workers, list) else []:
        figures = each["figures"]
        now, totals = figures.get("now", {}), figures.get("totals", {})
        rows.append(
            (
                *(each[name] for name in ("slot", "pid", "stage", "age", "silent")),
                now.get("connections", "-"),
                totals.get("requests", "-"),
                now.get("guards", "-"),
                now.get("rss", 0) >> 20 or "-",
            )
        )
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return [f"supervisor {state['pid']}, {state['state']}{doing}", *table]
