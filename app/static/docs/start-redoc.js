// Starts Redoc; its page allows no inline script.
"use strict";

// Redoc's default fonts come from Google; these are already on the machine.
const sans = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
const mono = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

Redoc.init(
  document.currentScript.dataset.openapi,
  {
    scrollYOffset: ".docs-bar",
    sanitize: true,
    theme: {
      typography: {
        fontFamily: sans,
        headings: { fontFamily: sans },
        code: { fontFamily: mono },
      },
    },
  },
  document.getElementById("redoc"),
);
