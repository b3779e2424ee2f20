"use strict";
// Starts ReDoc with what the page says in the attributes of this script. ReDoc makes its own style elements, which a
// Content Security Policy lets pass by their nonce.
(() => {
  const script = document.currentScript;
  Redoc.init(script.dataset.openapiUrl, { nonce: script.nonce }, document.getElementById("redoc"));
})();
