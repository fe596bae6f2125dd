// Pictures come once, under the hash of their bytes; what is missing is asked for.
function imageStore(send) {
  const urls = new Map();
  const waiting = new Map(); // name -> elements
  return {
    names: () => [...urls.keys()],
    receive(names, buffers) {
      names.forEach((name, index) => {
        if (!urls.has(name)) urls.set(name, URL.createObjectURL(new Blob([buffers[index]], { type: "image/png" })));
        for (const element of waiting.get(name) || []) {
          if (element.dataset.picture === name) element.src = urls.get(name);
        }
        waiting.delete(name);
      });
    },
    show(element, reference) {
      const name = reference && reference.image;
      if (!name || element.dataset.picture === name) return;
      element.dataset.picture = name;
      if (urls.has(name)) element.src = urls.get(name);
      else {
        if (!waiting.has(name)) window.setTimeout(() => waiting.has(name) && send("need", { names: [name] }), 50);
        waiting.set(name, [...(waiting.get(name) || []), element]);
      }
    },
    // Frees pictures that no slot refers to, once there are many.
    sweep(wanted) {
      if (urls.size < 600) return;
      const text = wanted();
      for (const [name, url] of urls) {
        if (!text.includes(name)) {
          URL.revokeObjectURL(url);
          urls.delete(name);
        }
      }
    },
    destroy: () => urls.forEach((url) => URL.revokeObjectURL(url)),
  };
}
