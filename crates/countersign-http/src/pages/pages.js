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

  // A form is sent once.
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      const sent = (is) => {
        form.dataset.sent = is ? "1" : "";
        for (const button of form.querySelectorAll("button")) {
          button.setAttribute("aria-disabled", String(is));
        }
      };
      sent(true);
      // If the page load is stopped or fails, the user can try again.
      setTimeout(() => sent(false), 10000);
    });
  }
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    // A page out of the browser's own memory may be of a login that is over. Not `reload`, which
    // could send a form again.
    location.replace(location.href.split("#")[0]);
  });

  // Counts down from what the server said, whatever the clock of this machine says.
  // Of two clocks the one that has gone further: one may stop while the machine sleeps.
  const [start, date] = [performance.now(), Date.now()];
  const left = (seconds) => {
    const gone = Math.max(performance.now() - start, Date.now() - date) / 1000;
    return Math.max(0, Math.ceil(seconds - gone));
  };
  const clock = (text, seconds) => text.replace(/\d+(:|分)\d\d/, (_, mark) =>
    `${Math.floor(seconds / 60)}${mark}${String(seconds % 60).padStart(2, "0")}`);
  const every = (show) => {
    if (show()) return;
    const timer = setInterval(() => show() && clearInterval(timer), 500);
  };
  const spoken = document.getElementById("spoken");
  for (const line of document.querySelectorAll("[data-seconds]")) {
    const seconds = Number(line.dataset.seconds);
    const text = line.textContent;
    let said = null;
    every(() => {
      const now = left(seconds);
      line.textContent = now === 0 ? line.dataset.over : clock(text, now);
      // Read aloud only now and then.
      const step = [0, 30, 60, 120].find((mark) => now <= mark) ?? Infinity;
      if (spoken && said !== null && step < said) spoken.textContent = line.textContent;
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
      line.textContent = now === 0 ? "" : clock(text, now);
      for (const button of buttons) button.disabled = now > 0;
      if (now === 0 && spoken) spoken.textContent = line.dataset.over;
      return now === 0;
    });
  }
})();
