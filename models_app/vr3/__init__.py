"""An API that is compatible with the Watson Visual Recognition v3 API, over the team's own models.

Clients of that service move over by changing the URL and the key. Off unless VR3_API_ENABLED is on. What it does and
does not do stands in docs/vr3-api.md; the facts of the protocol are those of IBM's SDKs and documents.
"""
