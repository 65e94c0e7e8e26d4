"""Single sign-on by SAML 2.0: allauth's provider, with an answer that is read before anything of it is kept.

python3-saml (xmlsec, lxml) is loaded where SAML is set up only, by `messages.py`; nothing else may import it.
"""
