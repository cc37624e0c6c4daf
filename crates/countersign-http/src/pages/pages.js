// What the pages do with scripts that they also do, less comfortably, without.
"use strict";
(() => {
  const language = document.documentElement.lang;

  // Times in the reader's own time zone.
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.textContent = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    }
  }

  // A form is sent once. Its button is disabled after the browser has read it.
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "1";
      setTimeout(() => {
        for (const button of form.querySelectorAll("button")) button.disabled = true;
      });
    });
  }
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    // A page out of the browser's own memory may be of a login that is over.
    location.reload();
  });

  // Counts down from what the server said, whatever the clock of this machine says.
  const start = performance.now();
  const left = (seconds) => Math.max(0, Math.ceil(seconds - (performance.now() - start) / 1000));
  const every = (show) => {
    if (show()) return;
    const timer = setInterval(() => show() && clearInterval(timer), 500);
  };
  const spoken = document.getElementById("spoken");
  for (const line of document.querySelectorAll("[data-seconds]")) {
    const seconds = Number(line.dataset.seconds);
    const text = line.textContent;
    let said = Infinity;
    every(() => {
      const now = left(seconds);
      const minutes = Math.floor(now / 60);
      const rest = String(now % 60).padStart(2, "0");
      line.textContent = now === 0
        ? line.dataset.over
        : text.replace(/\d+(:|分)\d\d/, (_, mark) => `${minutes}${mark}${rest}`);
      // Read aloud only now and then.
      const step = [0, 30, 60, 120].find((mark) => now <= mark) ?? Infinity;
      if (spoken && step < said && said !== Infinity) spoken.textContent = line.textContent;
      said = step;
      return now === 0;
    });
  }
  for (const line of document.querySelectorAll("[data-wait]")) {
    const seconds = Number(line.dataset.wait);
    const text = line.textContent;
    const buttons = document.querySelectorAll("#resend button");
    every(() => {
      const now = left(seconds);
      line.textContent = now === 0 ? "" : text.replace(/\d+/, String(now));
      for (const button of buttons) button.disabled = now > 0;
      return now === 0;
    });
  }
})();
