// Showers to turn: the library is compiled, and a scene is drawn, when the reader comes near it.
"use strict";
(() => {
  const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "", modeBarButtons: [["resetCameraDefault3d"]] };
  const NEAR = "150px";
  const MOST = 10; // a browser keeps about 16 WebGL contexts, and blanks the oldest ones beyond
  const CORNERS = 8;
  const TRIANGLES = [
    [0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
    [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
  ];
  const waiting = new Set();
  const drawn = new Map();
  let busy = false;

  function library() {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return window.Plotly;
  }

  // Blocks are sent as their corners, and energy and text once for each.
  function unfold({ blocks, ...trace }) {
    if (!blocks) return trace;
    const side = (k) => blocks.owner.flatMap((_, block) => TRIANGLES.map((t) => CORNERS * block + t[k]));
    const each = (values, times) => blocks.owner.flatMap((hit) => Array(times).fill(values[hit]));
    return {
      ...trace, i: side(0), j: side(1), k: side(2),
      intensity: each(blocks.intensity, TRIANGLES.length), hovertext: each(blocks.text, CORNERS),
    };
  }

  function read(plot) {
    const figure = JSON.parse(plot.closest(".stage").querySelector("script").textContent);
    return { data: figure.data.map(unfold), layout: figure.layout };
  }

  async function draw(plot) {
    const figure = read(plot);
    if (plot.camera) figure.layout.scene.camera = plot.camera;
    await library().newPlot(plot, figure.data, figure.layout, CONFIG);
    plot.dataset.drawn = Math.round(performance.now());
    drawn.set(plot, figure);
  }

  function release() {
    for (const plot of drawn.keys()) {
      if (drawn.size <= MOST) return;
      if (plot.dataset.near) continue;
      plot.camera = plot._fullLayout.scene._scene.getCamera();
      window.Plotly.purge(plot);
      delete plot.dataset.drawn;
      drawn.delete(plot);
    }
  }

  // One after the other, so that each is seen as soon as it is there and the page stays alive.
  async function work() {
    if (busy) return;
    busy = true;
    for (const plot of waiting) {
      waiting.delete(plot);
      await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
      try {
        await draw(plot);
      } catch (error) {
        plot.textContent = `This shower cannot be drawn here: ${error.message}`;
      }
      release();
    }
    busy = false;
  }

  function look(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) target.dataset.near = "yes";
      else delete target.dataset.near;
      if (isIntersecting && !drawn.has(target)) waiting.add(target);
      if (!isIntersecting) waiting.delete(target);
    }
    work();
  }

  const observer = new IntersectionObserver(look, { rootMargin: NEAR });
  for (const plot of document.querySelectorAll(".stage .plot")) observer.observe(plot);
})();
