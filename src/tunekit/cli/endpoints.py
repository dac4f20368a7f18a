"""`deploy`, `deployments`, `chat` and `delete`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.exits import Exit
from tunekit.cli.shell import Shell, command, parse_assignments, public

if TYPE_CHECKING:
    from rich.text import Text

    from tunekit.deployments import Deployment
    from tunekit.models import TunedModel
    from tunekit.providers.base import DeploymentSnapshot

DeploymentName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a deployment.")]


def find_model(shell: Shell, ref: str) -> TunedModel:
    """The model of a job by run name or job id; anything else is a model's own name or folder.

    Raises:
        JobError: The job has no model: it still runs, failed or was cancelled.
    """
    from tunekit.engine.waiting import job_is_over
    from tunekit.errors import JobError, NotFoundError

    client = shell.client
    if ref in shell.config.file.models or Path(ref).is_dir():
        return client.model(ref)
    try:
        job = client.job(ref)
    except NotFoundError:
        if client.session.ledger.run(client.provider.account, ref) is not None:
            raise  # a run that was never submitted; its name is no model's
        return client.model(ref)
    if not job_is_over(job.snapshot):
        raise JobError(
            f"Job {ref!r} is {job.status.value} and has no model yet.",
            snapshot=job.snapshot,
            next_step=f"Wait for it: `{shell.command_line('events', ref, '--follow')}`.",
        )
    return job.result()


@command
def deploy(
    shell: Shell,
    model: Annotated[
        str, typer.Argument(metavar="JOB_OR_MODEL", help="Run name, job id, model id or folder.")
    ],
    ttl: Annotated[
        str | None, typer.Option(metavar="1h", help="When it ends by itself: 15m, 1h, 2d.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name; the same name is never started twice.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="The provider's own setting; may be repeated."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once, before it answers.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="15m", help="How long to wait for its first answer.")
    ] = "15m",
    show_key: Annotated[bool, typer.Option("--show-key", help="Print the API key.")] = False,
) -> None:
    """Bring a model up behind an OpenAI-compatible endpoint."""
    from tunekit._text import parse_duration

    seconds = parse_duration(timeout)
    options = parse_assignments(option, "--option")
    taken = sorted({"name", "ttl", "wait", "timeout"} & set(options))
    if taken:
        raise typer.BadParameter(f"{taken[0]!r} has an option of its own.", param_hint="--option")
    chosen = find_model(shell, model)
    shell.way_back = lambda: [
        "It may still come up, and may cost money.",
        f"See:     {shell.command_line('deployments')}",
        f"End it:  {shell.command_line('delete', name or 'NAME')}",
    ]
    shell.say(f"Deploying {chosen.id}")
    deployment = chosen.deploy(name=name, ttl=ttl, wait=False, **options)
    called = deployment.name
    shell.way_back = lambda: [
        "It may still come up, and may cost money.",
        f"See:     {shell.command_line('deployments')}",
        f"End it:  {shell.command_line('delete', called)}",
    ]
    if not detach:
        deployment.wait(timeout=seconds)
    shell.way_back = None
    _say_deployed(shell, deployment, show_key=show_key)


def _say_deployed(shell: Shell, deployment: Deployment, *, show_key: bool) -> None:
    from tunekit.cli.words import money, pairs, until
    from tunekit.providers.base import DeploymentStatus

    snapshot = deployment.snapshot
    ready = deployment.status is DeploymentStatus.READY
    endpoint = deployment.endpoint if ready else None
    key = endpoint.api_key.get_secret_value() if endpoint and show_key else None
    if shell.as_json:
        document = {**public(snapshot), "model_name": endpoint.model if endpoint else None}
        if show_key:
            document["api_key"] = key
        shell.emit(document)
        return
    shell.say(f"{deployment.name} is {deployment.status.value}.")
    rows: list[tuple[str, str | Text]] = [
        ("base_url", (endpoint.base_url if endpoint else snapshot.base_url) or "not known yet"),
        ("model", endpoint.model if endpoint else "not known yet"),
        ("ends", until(snapshot.expires_at)),
        ("price", money(snapshot.usd_per_hour, " an hour")),
    ]
    if show_key:
        rows.append(("api_key", key or "not known yet"))
    shell.say(
        *pairs(rows),
        f"Talk to it:  {shell.command_line('chat', deployment.name)}",
        f"End it:      {shell.command_line('delete', deployment.name)}",
    )
    if ready and not show_key:
        shell.say("For other programs, run the same command with --show-key.")


@command
def deployments(shell: Shell) -> None:
    """List everything that stands now and may cost money."""
    found = shell.client.deployments()
    if shell.as_json:
        shell.emit({"deployments": [public(deployment.snapshot) for deployment in found]})
    elif not found:
        shell.say("Nothing stands.")
    else:
        snapshots = [deployment.snapshot for deployment in found]
        shell.say(*_deployment_lines(snapshots, width=shell.out.width))


def _deployment_lines(found: list[DeploymentSnapshot], *, width: int) -> list[Text]:
    from rich.text import Text

    from tunekit.cli.words import UNKNOWN, ago, columns, money, paragraphs, status_text, until

    heads: list[str | Text] = [
        Text(word, style="dim") for word in ("NAME", "STATUS", "CREATED", "ENDS", "$/H")
    ]
    rows: list[list[str | Text]] = [
        [
            Text(one.name, style="bold"),
            status_text(one.status.value),
            ago(one.created_at),
            until(one.expires_at),
            money(one.usd_per_hour),
        ]
        for one in found
    ]
    head, *lines = columns([heads, *rows])
    shown = [head]
    for one, line in zip(found, lines, strict=True):
        shown += [
            line,
            Text(f"  url    {one.base_url or UNKNOWN}"),
            Text(f"  model  {one.model.id}"),
        ]
        if one.error is not None:
            said = paragraphs(one.error.message, width, indent=2)
            shown.append(Text(f"  {said}", style="red"))
    return shown


def _standing(shell: Shell, name: str, hint: str) -> Deployment:
    """The deployment of this name.

    Raises:
        NotFoundError: There is none; `hint` says what else may have been meant.
    """
    from tunekit.errors import NotFoundError

    try:
        return shell.client.deployment(name)
    except NotFoundError as error:
        error.next_step = f"{error.next_step} {hint}".strip()
        raise


@command
def chat(
    shell: Shell,
    name: DeploymentName,
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to say. Without it: a conversation, or stdin if it is piped."),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Show words as they come; the default here is yes on a terminal.",
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="System prompt, instead of that of the training data.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 is deterministic.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens at most.")] = None,
) -> None:
    """Talk to a deployment: one answer, or a conversation."""
    deployment = _standing(
        shell,
        name,
        f"To talk to a run's model, bring it up: `{shell.command_line('deploy', name)}`.",
    )
    asked = {"temperature": temperature, "max_tokens": max_tokens}
    parameters: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    opening = [] if system is None else [{"role": "system", "content": system}]
    if prompt is None and not _somebody_is_here():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise typer.BadParameter(
                "There is nothing to say: stdin is empty.", param_hint="PROMPT"
            )
    as_it_comes = shell.out.is_terminal if stream is None else stream
    if prompt is None and shell.as_json:
        raise typer.BadParameter("A conversation has no JSON form.", param_hint="--json")
    if prompt is None:
        shell.warn("Ctrl-D ends the conversation.")
        converse(deployment, opening, write=_write, **parameters)
    elif shell.as_json:
        reply = deployment.chat([*opening, {"role": "user", "content": prompt}], **parameters)
        shell.emit(
            {
                "text": reply.text,
                "finish_reason": reply.finish_reason,
                "prompt_tokens": reply.prompt_tokens,
                "completion_tokens": reply.completion_tokens,
                "tool_calls": reply.tool_calls,
            }
        )
    else:
        messages = [*opening, {"role": "user", "content": prompt}]
        pieces: Iterable[str] = (
            deployment.stream(messages, **parameters)
            if as_it_comes
            else [deployment.chat(messages, **parameters).text]
        )
        for piece in pieces:
            _write(piece)
        _write("\n")


def _somebody_is_here() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def converse(
    deployment: Deployment,
    messages: list[dict[str, str]],
    *,
    write: Callable[[str], None],
    ask: Callable[[str], str] = input,
    **parameters: Any,
) -> list[dict[str, str]]:
    """Talk back and forth until the input ends; the model sees all that was said before.

    Args:
        deployment: Whom to talk to.
        messages: How the conversation begins, for example with a system prompt.
        write: Shows a piece of an answer.
        ask: Shows its argument and returns a line; raises `EOFError` at the end.
        **parameters: Passed through to the model.

    Returns:
        The whole conversation.
    """
    said = list(messages)
    while True:
        try:
            line = ask("> ").strip()
        except EOFError:
            write("\n")
            return said
        if not line:
            continue
        said.append({"role": "user", "content": line})
        answer = ""
        for piece in deployment.stream(said, **parameters):
            write(piece)
            answer += piece
        write("\n")
        said.append({"role": "assistant", "content": answer})


@command
def delete(
    shell: Shell,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A deployment.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="JOB_OR_MODEL", help="Delete this model instead."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a deployment, or delete a model (asks first)."""
    if (name is None) == (model is None):
        raise typer.BadParameter("Give a deployment's NAME or `--model`.", param_hint="NAME")
    if name is not None:
        other = shell.command_line("delete", "--model", name)
        _standing(shell, name, f"To delete a run's model: `{other}`.").delete()
        document = {"deleted": {"deployment": name}}
        words = f"Deployment {name} is deleted."
    else:
        chosen = find_model(shell, str(model))
        if not yes:
            _confirm(shell, chosen.id)
        chosen.delete()
        document = {"deleted": {"model": chosen.id}}
        words = f"Model {chosen.id} is deleted."
    if shell.as_json:
        shell.emit(document)
    else:
        shell.say(words)


def _confirm(shell: Shell, model_id: str) -> None:
    """Ask on stderr; refuse where nobody can answer.

    Raises:
        ConfigError: Nobody can answer.
        typer.Exit: The answer was no.
    """
    from tunekit.errors import ConfigError

    if not _somebody_is_here():
        raise ConfigError(
            f"Deleting model {model_id!r} cannot be undone, and nobody is here to confirm it.",
            next_step="Pass `--yes`.",
        )
    if not typer.confirm(f"Delete model {model_id!r} for good?", err=True):
        shell.warn("Nothing was deleted.")
        raise typer.Exit(Exit.INTERRUPTED)
