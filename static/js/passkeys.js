// Says in words why a passkey was not made or not taken. allauth's script reports errors by an event and else only in the console.
(() => {
  const WORDS = {
    NotAllowedError: "Nothing was confirmed: it was canceled, took too long, or this device has no passkey for this account. Try again.",
    InvalidStateError: "This device or key has a passkey for your account already.",
    SecurityError: "The browser does not allow passkeys at this address. Open the platform by its name, over https.",
    NotSupportedError: "This device or key cannot make the kind of passkey that is needed. Try another one.",
    AbortError: "It was canceled. Try again.",
  };
  document.addEventListener("allauth.error", (event) => {
    const box = document.getElementById("passkey-problem");
    if (!box) return;
    event.preventDefault();
    const error = event.detail.exception;
    const words = window.PublicKeyCredential ? WORDS[error?.name] : "This browser does not offer passkeys at this address.";
    box.firstElementChild.textContent = words || "The passkey could not be used. Load the page again and try once more.";
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  });
})();
