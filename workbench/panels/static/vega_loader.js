// The chart library, loaded once a page: from the server where it serves it, else from the kernel.

const VEGA_SLOT = "__efficiencyWorkbenchVega";
const VEGA_PATH = "lab/extensions/efficiency-workbench/static/vega.js";

function loadVega(model) {
  if (!window[VEGA_SLOT]) {
    window[VEGA_SLOT] = importVega(model).catch((error) => {
      window[VEGA_SLOT] = null; // a later panel may try again
      throw error;
    });
  }
  return window[VEGA_SLOT];
}

async function importVega(model) {
  const config = document.getElementById("jupyter-config-data");
  if (config) {
    try {
      const base = JSON.parse(config.textContent).baseUrl || "/";
      const folder = new URL(base.endsWith("/") ? base : base + "/", window.location.href);
      return await import(new URL(VEGA_PATH, folder).href);
    } catch (error) {
      // The server of this page does not hold our file (another environment): ask the kernel.
    }
  }
  if (!model) throw new Error("The chart library is not served here and there is no kernel to ask");
  const source = await vegaFromKernel(model);
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

function vegaFromKernel(model) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      window.clearTimeout(timer);
      model.off("msg:custom", receive);
    };
    const timer = window.setTimeout(() => {
      stop();
      reject(new Error("The kernel did not send the chart library within 60 s"));
    }, 60000);
    function receive(content, buffers) {
      if (!content || content.type !== "vega" || !buffers || !buffers.length) return;
      stop();
      resolve(new TextDecoder().decode(buffers[0]));
    }
    model.on("msg:custom", receive);
    model.send({ type: "vega" });
  });
}

// Waits for the library another part of the page is loading.
async function sharedVega() {
  for (let tries = 0; tries < 1200; tries += 1) {
    if (window[VEGA_SLOT]) return window[VEGA_SLOT];
    await new Promise((resolve) => window.setTimeout(resolve, 50));
  }
  throw new Error("The chart library was not loaded within 60 s");
}
