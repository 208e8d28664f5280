// Starts Swagger UI; its page allows no inline script.
"use strict";

SwaggerUIBundle({
  url: document.currentScript.dataset.openapi,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // else it sends the document's address to validator.swagger.io
  queryConfigEnabled: false, // else a link could make this page show a foreign document
  persistAuthorization: false, // tokens are forgotten with the page
  displayRequestDuration: true,
});
