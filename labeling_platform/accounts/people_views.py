"""The page People of a team: members and their roles, open invitations, links."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Case, F, Q, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused

from .forms import InviteForm, LinkForm, RoleForm, focus_first_error, roles_to_give
from .invitations import Issued, invite_by_email, make_invite_link, revoke_invitation
from .mail import invitation_url, send_invitations
from .models import Invitation, Membership
from .people import change_role, demand_second_factor, remove_person
from .permissions import EDIT, MANAGE, ROLE_NOTES, Role, may_give, stands_at
from .tenancy import TeamRequest, team_view

PEOPLE_PER_PAGE, MOST_INVITATIONS = 50, 200


@require_safe
@team_view(may=MANAGE)
def people(request: TeamRequest) -> HttpResponse:
    """Who is in the team, who is invited, and the forms to invite more."""
    return _page(request)


def _page(request: TeamRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    own = request.membership.role
    rank = Case(*[When(role=role, then=number) for number, role in enumerate(Role.values)])
    members = Membership.objects.filter(team=request.team).select_related("user").order_by(rank, "user__email")
    page = Paginator(members, PEOPLE_PER_PAGE).get_page(request.GET.get("page"))
    last_owner = Membership.objects.filter(team=request.team, role=Role.OWNER).count() == 1
    context = {
        "page": page,
        "people": [_row(member, request, last_owner=last_owner) for member in page],
        "roles": roles_to_give(own),
        "invitations": _open_invitations(request),
        "invite_form": _invite_form(request),
        "link_form": _link_form(request),
        "role_notes": [(role.label, note) for role, note in ROLE_NOTES.items()],
        **more,
    }
    return render(request, "accounts/people.html", context, status=status)


def _row(member: Membership, request: TeamRequest, *, last_owner: bool) -> dict[str, Any]:
    kept = last_owner and member.role == Role.OWNER
    return {
        "member": member,
        "is_self": member.user_id == request.user.pk,
        "is_last_owner": kept,
        "may_change": stands_at(request.membership.role, member.role) and not kept,
    }


def _open_invitations(request: TeamRequest) -> list[dict[str, Any]]:
    """Invitations that have not ended, with whether who made them still may."""
    found = list(
        Invitation.objects.filter(Q(max_uses=None) | Q(uses__lt=F("max_uses")))
        .filter(revoked_at=None, expires_at__gt=timezone.now())
        .select_related("created_by")[:MOST_INVITATIONS]
    )
    makers = Membership.objects.filter(team=request.team, user__in={one.created_by_id for one in found})
    roles = dict(makers.values_list("user_id", "role"))
    own = request.membership.role
    return [
        {
            "invitation": one,
            "works": one.created_by_id in roles and may_give(roles[one.created_by_id], one.role),
            "may_resend": bool(one.email) and may_give(own, one.role),
        }
        for one in found
    ]


def _invite_form(request: TeamRequest, data: Any = None) -> InviteForm:
    initial = {"role": Role.MEMBER}
    return InviteForm(data, giver=request.membership.role, initial=initial, auto_id="mail_%s")


def _link_form(request: TeamRequest, data: Any = None) -> LinkForm:
    initial = {"role": Role.CONTRIBUTOR}
    return LinkForm(data, giver=request.membership.role, initial=initial, auto_id="link_%s")


@require_POST
@team_view(may=MANAGE)
def invite(request: TeamRequest) -> HttpResponse:
    """Invite each address of the form. Who is in the team already is left out and named."""
    form = _invite_form(request, request.POST)
    if not form.is_valid():
        return _page(request, status=422, invite_form=focus_first_error(form))
    issued: list[Issued] = []
    left_out: list[str] = []
    try:
        with transaction.atomic():
            for address in form.cleaned_data["emails"]:
                _invite_one(request, address, form.cleaned_data["role"], issued, left_out)
    except Refused as refused:
        form.add_error("emails" if refused.code != "role" else "role", refused.message)
        return _page(request, status=422, invite_form=focus_first_error(form))
    for text in left_out:
        messages.info(request, text)
    if issued:
        transaction.on_commit(partial(_deliver, request, issued), robust=True)
    return redirect("teams:people", team_slug=request.team.slug)


def _invite_one(request: TeamRequest, address: str, role: Role, issued: list[Issued], left_out: list[str]) -> None:
    try:
        issued.append(invite_by_email(team=request.team, email=address, role=role, actor=request.user))
    except Refused as refused:
        if refused.code != "member":
            raise
        left_out.append(refused.message)


def _deliver(request: TeamRequest, issued: list[Issued]) -> None:
    """Send the mails once the invitations stand, and say on the next page how it went.

    The mails are not left to a background task, because their tokens would then lie in the broker.
    """
    failed = send_invitations(issued)
    sent = [one.invitation.email for one in issued if one.invitation.email not in failed]
    if sent:
        messages.success(request, f"Invited: {', '.join(sent)}.")
    for address in failed:
        messages.error(request, f"The mail to {address} could not be sent. Use Send again later, or make a link.")


@never_cache
@require_POST
@team_view(may=MANAGE)
def invite_link(request: TeamRequest) -> HttpResponse:
    """Make a link and show it, this one time."""
    form = _link_form(request, request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            issued = make_invite_link(
                team=request.team, role=data["role"], actor=request.user, max_uses=data["max_uses"], days=data["days"]
            )
        except Refused as refused:
            form.add_error(refused.code if refused.code in form.fields else None, refused.message)
        else:
            return _page(request, made=issued.invitation, made_url=invitation_url(issued.token))
    return _page(request, status=422, link_form=focus_first_error(form))


@never_cache
@require_POST
@team_view(may=EDIT)
def contributor_link(request: TeamRequest) -> HttpResponse:
    """Make a link for contributors that leads to the job `job`, or to all jobs; a fragment for htmx, else a page."""
    job = request.POST.get("job", "")
    path = f"contribute/{int(job)}/" if job.isascii() and job.isdigit() and len(job) < 18 else "contribute/"
    issued = make_invite_link(team=request.team, role=Role.CONTRIBUTOR, actor=request.user, path=path)
    context = {"made": issued.invitation, "made_url": invitation_url(issued.token)}
    return htmx.render(request, "accounts/contributor_link.html", context, partial="link")


@require_POST
@team_view(may=MANAGE)
def revoke(request: TeamRequest, invitation_pk: int) -> HttpResponse:
    """Take an invitation back."""
    found = get_object_or_404(Invitation, pk=invitation_pk)
    if revoke_invitation(invitation=found, actor=request.user):
        messages.success(request, "The invitation is taken back. Its link no longer works.")
    return redirect("teams:people", team_slug=request.team.slug)


@require_POST
@team_view(may=MANAGE)
def role(request: TeamRequest, membership_pk: int) -> HttpResponse:
    """Give a member another role."""
    member = _member(request, membership_pk)
    form = RoleForm(request.POST, giver=request.membership.role)
    if not form.is_valid():
        problem = f"Choose one of: {', '.join(str(label) for _, label in roles_to_give(request.membership.role))}."
        return _page(request, status=422, problem=problem, problem_pk=member.pk)
    change = partial(change_role, team=request.team, user=member.user, role=form.cleaned_data["role"])
    return _change(request, member, change, f"{member.user} is {form.cleaned_data['role'].label.lower()} now.")


@require_POST
@team_view(may=MANAGE)
def remove(request: TeamRequest, membership_pk: int) -> HttpResponse:
    """Take a member out of the team."""
    member = _member(request, membership_pk)
    change = partial(remove_person, team=request.team, user=member.user)
    return _change(request, member, change, f"{member.user} is no longer in the team.")


def _member(request: TeamRequest, pk: int) -> Membership:
    return get_object_or_404(Membership.objects.select_related("user"), team=request.team, pk=pk)


def _change(request: TeamRequest, member: Membership, change: Callable[..., object], done: str) -> HttpResponse:
    try:
        change(actor=request.user)
    except Refused as refused:
        return _page(request, status=409, problem=refused.message, problem_pk=member.pk)
    messages.success(request, done)
    still = Membership.objects.filter(team=request.team, user=request.user).first()
    if still is None:
        return redirect("home")
    return redirect("teams:people" if still.may(MANAGE) else "teams:home", team_slug=request.team.slug)


@require_POST
@team_view(may=MANAGE)
def second_factor(request: TeamRequest) -> HttpResponse:
    """Demand a second factor from everybody in the team, or no longer."""
    on = bool(request.POST.get("on"))
    try:
        demand_second_factor(team=request.team, on=on, actor=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        words = "Everybody in the team needs a second factor now." if on else "A second factor is no longer demanded."
        messages.success(request, words)
    return redirect("teams:people", team_slug=request.team.slug)
