// Load the page's data in shards, and keep what is shown in the address: every view and question has a link.
// Classic scripts in one namespace, because browsers load neither modules nor fetched files from the disk.
"use strict";

const FRISM = (() => {
  const FORMAT = 1; // of the shards, as benchmarks/page/shards.py writes them
  const waiting = new Map(); // by shard: what to call with its value
  const loaded = new Map(); // by shard: a promise of its value
  const large = []; // shards of answers, the latest last: only so many are kept
  const KEPT = 24;

  // Called by every shard.
  function receive(name, text) {
    const resolve = waiting.get(name);
    if (resolve) resolve(JSON.parse(text));
  }

  // Load a shard such as "miniature/columns/3"; the promise fails with a sentence.
  function load(name) {
    if (loaded.has(name)) return loaded.get(name);
    const promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const file = `data/${name.split("/").map(encodeURIComponent).join("/")}.js`;
      waiting.set(name, resolve);
      script.charset = "utf-8";
      script.src = file;
      script.onload = () => {
        script.remove();
        waiting.delete(name);
        reject(new Error(`${file} is no data of this page: make the page again.`)); // if it was not resolved
      };
      script.onerror = () => {
        script.remove();
        waiting.delete(name);
        loaded.delete(name);
        reject(new Error(`${file} cannot be loaded: copy the whole folder of the page, or make it again.`));
      };
      document.head.append(script);
    });
    loaded.set(name, promise);
    if (name.includes("/texts/")) {
      large.push(name);
      if (large.length > KEPT) loaded.delete(large.shift());
    }
    return promise;
  }

  // --- address: #/study/view?name=value ---

  function readAddress(hash = location.hash) {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
    const [study = "", view = ""] = path.split("/").map(decodeURIComponent);
    return { study, view, params: new Map(new URLSearchParams(query)) };
  }

  // Write the address of a view; empty values are left out.
  function address(study, view, params = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of params instanceof Map ? params : Object.entries(params)) {
      if (value !== undefined && value !== null && value !== "") query.set(name, value);
    }
    const text = query.toString();
    return `#/${encodeURIComponent(study)}/${view}${text ? `?${text}` : ""}`;
  }

  const state = { studies: [], study: null, view: "", params: new Map() };

  function link(view, params) {
    return address(state.study.study, view, params);
  }

  // Change parameters of the present view; `quiet` leaves the history and what is shown as they are.
  function change(params, { quiet = false } = {}) {
    const all = new Map(state.params);
    for (const [name, value] of Object.entries(params)) {
      if (value === undefined || value === null || value === "") all.delete(name);
      else all.set(name, String(value));
    }
    const hash = link(state.view, all);
    if (hash === location.hash) return;
    if (quiet) {
      state.params = all;
      history.replaceState(null, "", hash);
    } else {
      location.hash = hash;
    }
  }

  function get(name, fallback = "") {
    return state.params.has(name) ? state.params.get(name) : fallback;
  }

  // A shard of the present study.
  function part(name) {
    return load(`${state.study.study}/${name}`);
  }

  const memory = {
    read(name, fallback) {
      try {
        const text = localStorage.getItem(name);
        return text === null ? fallback : JSON.parse(text);
      } catch {
        return fallback;
      }
    },
    write(name, value) {
      try {
        localStorage.setItem(name, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
  };

  return { FORMAT, receive, load, part, readAddress, address, link, change, get, state, memory, views: new Map() };
})();
