"""Mail to people."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.template.loader import render_to_string
from django.urls import reverse

from .invitations import Issued

log = logging.getLogger(__name__)


def invitation_url(token: str) -> str:
    """The whole address of an invitation, as people reach the platform from outside."""
    return f"{settings.PUBLIC_URL.rstrip('/')}{reverse('invitation', kwargs={'token': token})}"


def send_invitations(issued: Sequence[Issued]) -> list[str]:
    """Mail each invitation to its address, over one connection. Returns the addresses whose mail could not be sent.

    To be called after the transaction: mail cannot be taken back.
    """
    connection = get_connection()
    try:
        connection.open()
    except OSError as error:  # smtplib's errors are OSErrors too
        log.warning("mail: no connection (%s)", type(error).__name__)
        return [one.invitation.email for one in issued]
    failed = []
    for one in issued:
        try:
            connection.send_messages([invitation_mail(one)])
        except OSError as error:
            log.warning("mail of invitation %s was not sent (%s)", one.invitation.pk, type(error).__name__)
            failed.append(one.invitation.email)
    connection.close()
    return failed


def invitation_mail(issued: Issued) -> EmailMessage:
    """The message that invites one person."""
    invitation = issued.invitation
    inviter = invitation.created_by
    context = {
        "invitation": invitation,
        "team": invitation.team,
        "role": invitation.get_role_display().lower(),
        "inviter": inviter,
        "url": invitation_url(issued.token),
    }
    subject = render_to_string("accounts/mail/invitation_subject.txt", context)
    return EmailMessage(
        " ".join(subject.split())[:200],
        render_to_string("accounts/mail/invitation.txt", context),
        to=[invitation.email],
        reply_to=[inviter.email] if inviter else [],
        headers={"Auto-Submitted": "auto-generated"},
    )
