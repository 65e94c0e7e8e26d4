"""Single sign-on by OpenID Connect: allauth's flow, with the checks of the standard that it leaves out.

The package `saml` inside does the same for SAML 2.0.
"""
