"""The commands that put a stage into an AWS account, and take it out again (see deployment, destruction)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from cli.commands import fail
from cli.exits import REFUSED, UNREACHABLE
from cli.output import Out

if TYPE_CHECKING:
    from cli.deployment import Target

_STAGE: Final = re.compile("[a-z][a-z0-9]{0,15}")


def _stage(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("no stage is named. Try make deploy STAGE=prod, or --stage prod.")
    if not _STAGE.fullmatch(value):
        raise click.BadParameter("a stage begins with a letter and has at most 16 small letters and digits.")
    return value


def on_aws(command: Callable[..., None]) -> Callable[..., None]:
    """A command on a stage of an AWS account: hands it a Target, and says what went wrong."""

    @click.option("--stage", required=True, callback=_stage, help="Name of the stage, such as prod.")
    @click.option("--region", help="AWS region, such as eu-west-1; that of the profile when left out.")
    @click.option("--profile", help="Profile of ~/.aws/config whose credentials are used.")
    @click.option("--yes", is_flag=True, help="Do not ask. Nothing is done by which data could be lost.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document; progress goes to stderr.")
    @functools.wraps(command)
    def run(
        *, stage: str, region: str | None, profile: str | None, yes: bool, as_json: bool, **options: Any
    ) -> None:
        if as_json and not yes:
            raise click.UsageError("--json asks nobody: add --yes.")
        from cli.deployment import Target  # here, because AWS's library would slow down every other command
        from cli.trouble import Trouble

        out = Out(as_json=as_json)
        try:
            command(Target.of(stage, region, profile, out, yes=yes), **options)
        except Trouble as trouble:
            code = UNREACHABLE if trouble.code == "aws_unreachable" else REFUSED
            fail(trouble.code, str(trouble), trouble.fix, as_json=as_json, exit_code=code)

    return run


@click.command()
@on_aws
@click.option("--public-url", help='Where the stage is reached, https://…; "" is the API\'s own URL.')
@click.option("--domain", help="A domain of yours, such as mail.example.com, that the API gets.")
@click.option("--certificate-arn", help="The certificate of --domain, in ACM in the same region.")
@click.option(
    "--architecture",
    type=click.Choice(["arm64", "x86_64"]),
    help="Lambda's processor; arm64 for a new stage.",
)
@click.option("--alias", help="An alias of the function send, for a service that invokes it.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other parameter of the application's template; may be repeated.",
)
@click.option("--new-key", is_flag=True, help="Make another administrator key, though there is one.")
@click.option("--unchecked", is_flag=True, help="Go on though IAM's simulator says that a right is missing.")
def deploy(target: Target, *, new_key: bool, unchecked: bool, **options: Any) -> None:
    r"""Deploy a stage, or update it: both stacks, with your AWS credentials.

    What would change is shown, and applied when you agree. Settings that are left out stay as they are.

    \b
    Examples:
      mailgrant deploy --stage prod --region eu-west-1
      mailgrant deploy --stage prod --domain m.example.com --certificate-arn ARN
      mailgrant deploy --stage prod --alias shop --yes --json
    """
    from cli import deployment

    deployment.deploy(target, _settings(**options), new_key=new_key, unchecked=unchecked)


@click.command()
@on_aws
@click.option("--with-data", is_flag=True, help="Delete the data too; the stage's name must be typed.")
def destroy(target: Target, *, with_data: bool) -> None:
    r"""Delete a stage's application. Its mailboxes, tokens and messages stay, unless --with-data is given.

    \b
    Example:
      mailgrant destroy --stage test --region eu-west-1
    """
    from cli import destruction

    destruction.destroy(target, with_data=with_data)


def _settings(
    *,
    public_url: str | None,
    domain: str | None,
    certificate_arn: str | None,
    alias: str | None,
    architecture: str | None,
    parameters: tuple[str, ...],
) -> dict[str, str]:
    """The parameters of the application's template that the options name. Raises UsageError."""
    if (domain is None) != (certificate_arn is None):
        raise click.UsageError("--domain and --certificate-arn are given together.")
    if bad := [one for one in parameters if "=" not in one]:
        raise click.UsageError(f"--parameter {bad[0]} is not NAME=VALUE.")
    given = {
        "PublicUrl": public_url,
        "DomainName": domain,
        "CertificateArn": certificate_arn,
        "SendAlias": alias,
        "Architecture": architecture,
    }
    named = dict(one.split("=", 1) for one in parameters)
    return {**named, **{name: value for name, value in given.items() if value is not None}}
