// Times are written in UTC; here they become the reader's own, in the page's language. Once each, and those that htmx brings.

const options = { dateStyle: "medium", timeStyle: "short" };

function translateTimes() {
  for (const element of document.querySelectorAll("time[datetime]:not([title])")) {
    const moment = new Date(element.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      element.title = element.textContent;
      element.textContent = new Intl.DateTimeFormat(document.documentElement.lang, options).format(moment);
    }
  }
}

translateTimes();
document.addEventListener("htmx:afterSwap", translateTimes);
