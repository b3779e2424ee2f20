"use strict";
// Starts Swagger UI with what the page says in the attributes of this script. The page has no script of its own, so
// that a Content Security Policy need allow none.
(() => {
  const said = document.currentScript.dataset;
  const SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"];

  const cookie = (name) => {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
    return found && decodeURIComponent(found.slice(name.length + 1));
  };

  // The cookie where it may be read, for a login from this very page changes it; else the token of the page.
  const token = () => (said.csrfCookie && cookie(said.csrfCookie)) || said.csrfToken;

  const requestInterceptor = (request) => {
    if (!said.csrfHeader) {
      return request;
    }
    const method = (request.method || "GET").toUpperCase();
    const isOurs = new URL(request.url, location.href).origin === location.origin;
    const headers = request.headers || {};
    const isSet = Object.keys(headers).some((name) => name.toLowerCase() === said.csrfHeader.toLowerCase());
    if (isOurs && !SAFE.includes(method) && !isSet && token()) {
      request.headers = { ...headers, [said.csrfHeader]: token() };
    }
    return request;
  };

  const ui = SwaggerUIBundle({
    url: said.openapiUrl,
    ...JSON.parse(said.parameters),
    ...(said.oauth2RedirectUrl ? { oauth2RedirectUrl: location.origin + said.oauth2RedirectUrl } : {}),
    presets: [SwaggerUIBundle.presets.apis],
    requestInterceptor,
  });
  if (said.initOauth) {
    ui.initOAuth(JSON.parse(said.initOauth));
  }
})();
