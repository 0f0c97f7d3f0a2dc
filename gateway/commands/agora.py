"""`gateway app agora`: what backends written for Agora Chat or Easemob call an app, and how they prove who they are."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from gateway.commands.options import (
    SECRET_VARIABLE,
    ConfigOption,
    DataOption,
    Stop,
    carry_out,
    configured,
    own_secret,
)
from gateway.config import Config
from gateway.core.operator import Ask

NAMES, CERTIFICATES = "agora", "agora-certificate"
"""The words under which the core keeps names and client ids, and the certificates of Agora's App IDs."""

# Of dots alone no segment of a path may be: clients take it away before they send.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_HEX = re.compile(r"[0-9a-f]{32}")


def app_agora(
    app_id: str,
    name: Annotated[
        str, typer.Option("--name", help="ORG_NAME/APP_NAME, as it stands in the paths of calls.")
    ] = "",
    client_id: Annotated[
        str,
        typer.Option(
            "--client-id", help=f"A client id of yours; its secret is asked for, or {SECRET_VARIABLE}."
        ),
    ] = "",
    certificate_of: Annotated[
        str,
        typer.Option(
            "--certificate-of", help=f"An App ID; its certificate is asked for, or {SECRET_VARIABLE}."
        ),
    ] = "",
    drop: Annotated[str, typer.Option("--drop", help="A client id or App ID that proves nothing more.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let Agora Chat backends find an app.

    With --name alone a new client id and its secret are printed, once; without options, what there is. Secrets given
    before stay good until --drop.
    """
    if client_id and certificate_of:
        raise Stop("give --client-id and --certificate-of one after the other: each wants a secret")
    loaded = configured(config, data)
    if name:
        _check_name(name)
        carry_out(loaded, Ask(verb="call", app=app_id, dialect=NAMES, name=name))
    if drop:
        dialect, known = _kind(loaded, app_id, drop)
        carry_out(loaded, Ask(verb="drop-credential", app=app_id, dialect=dialect, name=known))
    if certificate_of:
        _add_certificate(loaded, app_id, certificate_of.lower())
    elif client_id:
        secret = own_secret(f"Secret of {client_id}")
        carry_out(
            loaded, Ask(verb="add-credential", app=app_id, dialect=NAMES, name=client_id, secret=secret)
        )
    elif name:
        told = carry_out(loaded, Ask(verb="add-credential", app=app_id, dialect=NAMES))
        print(f"client id      {told['name']}\nclient secret  {told['secret']}")
        return
    _show(loaded, app_id)


def _check_name(name: str) -> None:
    """Refuse what no path of a call could begin with and reach the dialect."""
    from gateway.edge.facades.native.routes import ROOTS
    from gateway.edge.facades.netease.dispatch import ROOTS as OTHERS

    if not _NAME.fullmatch(name):
        raise Stop("--name must be ORG_NAME/APP_NAME, of letters, digits and _.-")
    org = name.partition("/")[0]
    if org in ROOTS | OTHERS:
        raise Stop(f"--name: paths under /{org}/ are another dialect's, take another ORG_NAME")


def _kind(config: Config, app_id: str, name: str) -> tuple[str, str]:
    """What a name is: an App ID where there is a certificate of it, else a client id."""
    held = carry_out(config, Ask(verb="called", app=app_id))["credentials"]
    hexed = name.lower()
    if any((known["dialect"], known["name"]) == (CERTIFICATES, hexed) for known in held):
        return CERTIFICATES, hexed
    return NAMES, name


def _add_certificate(config: Config, app_id: str, of: str) -> None:
    if not _HEX.fullmatch(of):
        raise Stop("an App ID has 32 hexadecimal digits")
    certificate = own_secret(f"Certificate of {of}").lower()
    if not _HEX.fullmatch(certificate):
        raise Stop("a certificate has 32 hexadecimal digits")
    carry_out(
        config, Ask(verb="add-credential", app=app_id, dialect=CERTIFICATES, name=of, secret=certificate)
    )


def _show(config: Config, app_id: str) -> None:
    told = carry_out(config, Ask(verb="called", app=app_id))
    print(f"name           {told['aliases'].get(NAMES, 'none')}")
    labels = {NAMES: "client id", CERTIFICATES: "App ID"}
    names = {(known["dialect"], known["name"]): None for known in told["credentials"]}
    for dialect, name in names:
        if dialect in labels:
            print(f"{labels[dialect]:14} {name}")
