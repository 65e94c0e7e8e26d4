"""The console's pages for organizations, teams, people, switches and the activity log."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from . import services
from .features import enabled_features
from .models import Activity, Feature, Membership, Organization, Team, TeamFeature, User
from .permissions import Role

admin.site.unregister(Group)
for model in (Authenticator, UserSession, SocialApp, SocialAccount, SocialToken):
    admin.site.unregister(model)  # they hold second-factor secrets, session keys and tokens; nobody needs to see them


class PersonCreationForm(UserCreationForm):
    """E-mail, name and password; there are no user names."""

    class Meta:
        model = User
        fields = ("email", "name")


class NotOneself(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Staff do not let themselves into teams: to look at one there is "view as", which is read-only and logged."""

    request: HttpRequest

    def clean(self) -> None:
        super().clean()
        me = self.request.user
        if me.is_superuser:
            return
        for form in self.forms:
            if form.has_changed() and form.cleaned_data.get("user") == me:
                raise forms.ValidationError(_("You cannot put yourself into a team, or change your place in it."))


class MembershipInline(TabularInline):
    model = Membership
    formset = NotOneself
    extra = 1
    autocomplete_fields = ["user", "team"]
    fields = ["user", "role"]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        made.request = request
        return made


class UserMembershipInline(TabularInline):
    """Where the person is; changed on the team's page, by the services."""

    model = Membership
    extra = 0
    fields = ["team", "role"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FeatureInline(TabularInline):
    """Switching a feature: a row is on, no row is off; who switched it is filled in when saved."""

    model = TeamFeature
    extra = 0
    fields = ["name", "until", "reason", "enabled_by", "enabled_at"]
    readonly_fields = ["enabled_by", "enabled_at"]


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ["email"]
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["email", "name"]
    filter_horizontal = []
    readonly_fields = ["last_login", "date_joined"]
    inlines = [UserMembershipInline]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        (_("May"), {"fields": ["is_active", "is_staff", "is_superuser"]}),
        (_("Times"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "name", "password1", "password2"]})]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Staff who are not superusers change only people who are not staff (accounts/console_rights.py)."""
        if not super().has_change_permission(request, obj):
            return False
        return request.user.is_superuser or obj is None or not (obj.is_staff or obj.is_superuser)

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not request.user.is_superuser:
            kwargs["form"] = forms.ModelForm  # Django's own form of a person has the password in it
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if request.user.is_superuser:
            return super().get_fieldsets(request, obj)
        return [(None, {"fields": ["email", "name", "is_active"]}), (_("Times"), {"fields": self.readonly_fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Who can change an address, a password or rights can become anybody: superusers alone."""
        if request.user.is_superuser:
            return self.readonly_fields
        return [*self.readonly_fields, "email", "is_staff", "is_superuser"]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002 - Django's
        if not request.user.is_superuser:
            raise PermissionDenied
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            person = User.objects.get(pk=id)
            services.record(team=None, actor=request.user, verb="password set by staff", obj=person)
        return response

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        verb = "account changed" if change else "account made"
        changed = sorted(set(form.changed_data) - {"password1", "password2", "usable_password"})
        services.record(team=None, actor=request.user, verb=verb, obj=obj, changed=changed)


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):
    list_display = ["name", "teams_count", "created_at"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return super().get_queryset(request).annotate(teams_found=Count("teams"))

    @display(description=_("Teams"), ordering="teams_found")
    def teams_count(self, organization: Any) -> int:
        return int(organization.teams_found)


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Team
        fields = ["organization", "name", "slug"]
        help_texts = {"slug": _("Stands in every address of the team; changing it breaks bookmarks.")}


@admin.register(Team)
class TeamAdmin(ModelAdmin):
    form = TeamForm
    list_display = ["name", "organization", "people_count", "labeling_switch", "created_at"]
    list_filter = ["organization", "features__name"]
    search_fields = ["name", "slug", "organization__name"]
    autocomplete_fields = ["organization"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [FeatureInline, MembershipInline]
    actions = ["switch_on", "switch_off"]

    def has_delete_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        """A team is deleted from its own page, with a waiting time and all it has."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        people = Count("memberships", distinct=True)
        return super().get_queryset(request).select_related("organization").annotate(people_found=people)

    @display(description=_("People"), ordering="people_found")
    def people_count(self, team: Any) -> int:
        return int(team.people_found)

    @display(description=_("ML assisted labeling"), boolean=True)
    def labeling_switch(self, team: Team) -> bool:
        return Feature.ML_ASSISTED_LABELING in enabled_features(team)

    @action(description=_("Switch ML assisted labeling on"))
    def switch_on(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, on=True)

    @action(description=_("Switch ML assisted labeling off"))
    def switch_off(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, on=False)

    def _switch(self, request: HttpRequest, teams: QuerySet[Team], *, on: bool) -> None:
        for team in teams:
            services.switch_feature(
                team=team, feature=Feature.ML_ASSISTED_LABELING, on=on, actor=request.user, reason="console"
            )
        self.message_user(request, f"Switched {'on' if on else 'off'} for {len(teams)} team(s).")

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Go through the services, so that who and when are kept and the activity log is written."""
        if formset.model not in {TeamFeature, Membership}:
            super().save_formset(request, form, formset, change)
            return
        for item in formset.save(commit=False):
            if isinstance(item, TeamFeature):
                services.switch_feature(
                    team=form.instance,
                    feature=Feature(item.name),
                    on=True,
                    actor=request.user,
                    reason=item.reason,
                    until=item.until,
                )
            else:
                services.set_role(team=item.team, user=item.user, role=Role(item.role), actor=request.user)
        for item in formset.deleted_objects:
            if isinstance(item, TeamFeature):
                services.switch_feature(team=form.instance, feature=Feature(item.name), on=False, actor=request.user)
            else:
                services.remove_member(team=item.team, user=item.user, actor=request.user)
        formset.save_m2m()


@admin.register(Activity)
class ActivityAdmin(ModelAdmin):
    """The log can be read and searched here, not changed."""

    list_display = ["created_at", "team", "actor", "verb", "object_type", "object_name"]
    list_filter = ["verb", "team"]
    search_fields = ["verb", "object_name", "actor__email"]
    list_select_related = ["team", "actor"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        return False
