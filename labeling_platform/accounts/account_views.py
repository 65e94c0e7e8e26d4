"""Pages of one's own account that allauth does not have."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from .memberships import memberships_of
from .models import User


class NameForm(forms.ModelForm):  # type: ignore[type-arg]
    """The name that others in the team see."""

    class Meta:
        model = User
        fields = ("name",)
        labels = {"name": _("Your name")}
        help_texts = {"name": _("The people of your teams see it.")}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Name, address and teams of the person; the name can be changed."""
    user = get_object_or_404(User, pk=request.user.pk)
    form = NameForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your name is saved.")
        return redirect("account_profile")
    places = memberships_of(user)
    status = 422 if form.is_bound else 200
    return render(request, "account/profile.html", {"form": form, "places": places}, status=status)
